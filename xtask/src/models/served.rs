//! The one list of what is served: for each service the operations that its pruned model keeps.
//!
//! Everything else of the service's full model is kept by name only, so that it can be refused by
//! name.

/// A service of botocore, by the folder that holds its model, and its operations that are served.
pub(super) struct Served {
    /// The folder in botocore's `data`, and the name of the pruned file.
    pub(super) service: &'static str,
    /// The names of operations that are served.
    pub(super) operations: &'static [&'static str],
}

/// All services. S3 keeps no operation: it is served by a library with a model of its own.
pub(super) const SERVED: [Served; 8] = [
    Served {
        service: "sagemaker",
        operations: &[
            "AddTags",
            "CreateEndpoint",
            "CreateEndpointConfig",
            "CreateModel",
            "CreateTrainingJob",
            "DeleteEndpoint",
            "DeleteEndpointConfig",
            "DeleteModel",
            "DeleteTags",
            "DeleteTrainingJob",
            "DescribeEndpoint",
            "DescribeEndpointConfig",
            "DescribeModel",
            "DescribeTrainingJob",
            "ListEndpointConfigs",
            "ListEndpoints",
            "ListModels",
            "ListTags",
            "ListTrainingJobs",
            "StopTrainingJob",
            "UpdateEndpoint",
            "UpdateEndpointWeightsAndCapacities",
            "UpdateTrainingJob",
        ],
    },
    Served {
        service: "sagemaker-runtime",
        operations: &["InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream"],
    },
    Served {
        service: "logs",
        operations: &[
            "CreateLogGroup",
            "CreateLogStream",
            "DeleteLogGroup",
            "DeleteLogStream",
            "DeleteRetentionPolicy",
            "DescribeLogGroups",
            "DescribeLogStreams",
            "FilterLogEvents",
            "GetLogEvents",
            "ListTagsForResource",
            "PutLogEvents",
            "PutRetentionPolicy",
            "TagResource",
            "UntagResource",
        ],
    },
    Served { service: "sts", operations: &["AssumeRole", "GetCallerIdentity", "GetSessionToken"] },
    Served {
        service: "iam",
        operations: &[
            "AttachRolePolicy",
            "CreateRole",
            "DeleteRole",
            "DeleteRolePolicy",
            "DetachRolePolicy",
            "GetRole",
            "GetRolePolicy",
            "ListAttachedRolePolicies",
            "ListRolePolicies",
            "ListRoles",
            "PutRolePolicy",
            "SimulatePrincipalPolicy",
        ],
    },
    Served {
        service: "route53",
        operations: &[
            "AssociateVPCWithHostedZone",
            "ChangeResourceRecordSets",
            "ChangeTagsForResource",
            "CreateHostedZone",
            "DeleteHostedZone",
            "DisassociateVPCFromHostedZone",
            "GetChange",
            "GetHostedZone",
            "ListHostedZones",
            "ListHostedZonesByName",
            "ListHostedZonesByVPC",
            "ListResourceRecordSets",
            "ListTagsForResource",
            "UpdateHostedZoneComment",
        ],
    },
    Served { service: "ec2", operations: super::ec2::OPERATIONS },
    Served { service: "s3", operations: &[] },
];
