//! What a few of AWS's managed policies allow, as far as it concerns what jobs do. Written down
//! from AWS's published policies; a policy that is not here can be attached, and is refused by name
//! when it is to be evaluated.

use super::document::Document;

/// All of AWS's own managed policies begin so.
pub(super) const PREFIX: &str = "arn:aws:iam::aws:policy/";

/// `AmazonSageMakerFullAccess`, of S3, ECR, EC2, logs, CloudWatch, IAM and SageMaker itself.
const SAGEMAKER_FULL: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":["sagemaker:*"],"NotResource":[
    "arn:aws:sagemaker:*:*:domain/*","arn:aws:sagemaker:*:*:user-profile/*",
    "arn:aws:sagemaker:*:*:app/*","arn:aws:sagemaker:*:*:space/*",
    "arn:aws:sagemaker:*:*:partner-app/*","arn:aws:sagemaker:*:*:flow-definition/*",
    "arn:aws:sagemaker:*:*:training-plan/*","arn:aws:sagemaker:*:*:reserved-capacity/*"]},
  {"Effect":"Allow","Action":[
    "cloudwatch:DeleteAlarms","cloudwatch:DescribeAlarms","cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics","cloudwatch:PutMetricAlarm",
    "cloudwatch:PutMetricData",
    "ec2:CreateNetworkInterface","ec2:CreateNetworkInterfacePermission","ec2:CreateVpcEndpoint",
    "ec2:DeleteNetworkInterface","ec2:DeleteNetworkInterfacePermission","ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces","ec2:DescribeRouteTables","ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets","ec2:DescribeVpcEndpoints","ec2:DescribeVpcs",
    "ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:CreateRepository","ecr:Describe*",
    "ecr:GetAuthorizationToken","ecr:GetDownloadUrlForLayer","ecr:StartImageScan",
    "iam:ListRoles",
    "logs:CreateLogDelivery","logs:CreateLogGroup","logs:CreateLogStream",
    "logs:DeleteLogDelivery","logs:Describe*","logs:GetLogDelivery","logs:GetLogEvents",
    "logs:ListLogDeliveries","logs:PutLogEvents","logs:PutResourcePolicy",
    "logs:UpdateLogDelivery"],"Resource":"*"},
  {"Effect":"Allow","Action":[
    "s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload"],
   "Resource":["arn:aws:s3:::*SageMaker*","arn:aws:s3:::*Sagemaker*","arn:aws:s3:::*sagemaker*",
    "arn:aws:s3:::*aws-glue*"]},
  {"Effect":"Allow","Action":[
    "s3:CreateBucket","s3:GetBucketLocation","s3:ListBucket","s3:ListAllMyBuckets",
    "s3:GetBucketCors","s3:PutBucketCors"],"Resource":"*"},
  {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::*",
   "Condition":{"StringEqualsIgnoreCase":{"s3:ExistingObjectTag/SageMaker":"true"}}},
  {"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/*",
   "Condition":{"StringEquals":{"iam:PassedToService":"sagemaker.amazonaws.com"}}}]}"#;

const TABLE: &[(&str, &str)] = &[
    ("AdministratorAccess", r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#),
    (
        "AmazonS3FullAccess",
        r#"{"Statement":{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}}"#,
    ),
    (
        "AmazonS3ReadOnlyAccess",
        r#"{"Statement":{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*",
            "s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}}"#,
    ),
    ("AmazonSageMakerFullAccess", SAGEMAKER_FULL),
];

/// What the policy of this ARN says, if it is known.
pub(super) fn find(arn: &str) -> Option<Document> {
    let name = arn.strip_prefix(PREFIX)?;
    let text = TABLE.iter().find(|(known, _)| *known == name)?.1;
    Document::of_permissions(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_the_table_is_one() {
        for (name, _) in TABLE {
            assert!(find(&format!("{PREFIX}{name}")).is_some(), "{name}");
        }
        assert!(find("arn:aws:iam::aws:policy/Other").is_none());
    }
}
