//! Buckets.

use super::Backend;
use super::conditions::time;
use super::error::{error, fault, invalid_argument};
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput,
    GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput,
    ListBucketsInput, ListBucketsOutput, Owner,
};
use s3s::{S3ErrorCode, S3Result};

/// The region whose buckets have no location constraint.
const CLASSIC: &str = "us-east-1";

impl Backend {
    pub(super) async fn create_bucket(
        &self,
        input: CreateBucketInput,
    ) -> S3Result<CreateBucketOutput> {
        let region = self.config.region.as_str();
        if let Some(configuration) = &input.create_bucket_configuration {
            if configuration.bucket.is_some() || configuration.location.is_some() {
                return Err(super::error::not_served("directory buckets"));
            }
            let wanted = configuration.location_constraint.as_ref();
            if let Some(wanted) = wanted.map(BucketLocationConstraint::as_str)
                && !wanted.is_empty()
                && wanted != region
            {
                return Err(error(
                    S3ErrorCode::IllegalLocationConstraintException,
                    format!(
                        "The {wanted} location constraint is incompatible for the region specific \
                         endpoint this request was sent to."
                    ),
                ));
            }
        }
        let location = format!("/{}", input.bucket);
        match self.objects.create_bucket(input.bucket).await {
            // As in the oldest region, where to make one's bucket again is no error.
            Err(belljar_store::objects::ObjectError::BucketExists) if region == CLASSIC => {}
            other => other.map_err(fault)?,
        }
        Ok(CreateBucketOutput { location: Some(location) })
    }

    pub(super) async fn delete_bucket(&self, input: DeleteBucketInput) -> S3Result<()> {
        self.objects.delete_bucket(input.bucket).await.map_err(fault)
    }

    pub(super) fn head_bucket(&self, input: &HeadBucketInput) -> S3Result<HeadBucketOutput> {
        self.objects.bucket_exists(&input.bucket).map_err(fault)?;
        Ok(HeadBucketOutput {
            bucket_region: Some(self.config.region.clone()),
            ..HeadBucketOutput::default()
        })
    }

    pub(super) fn bucket_location(
        &self,
        input: &GetBucketLocationInput,
    ) -> S3Result<GetBucketLocationOutput> {
        self.objects.bucket_exists(&input.bucket).map_err(fault)?;
        let region = self.config.region.clone();
        let location_constraint = (region != CLASSIC).then(|| region.into());
        Ok(GetBucketLocationOutput { location_constraint })
    }

    pub(super) fn list_buckets(&self, input: ListBucketsInput) -> S3Result<ListBucketsOutput> {
        let region = &self.config.region;
        let most = input.max_buckets.unwrap_or(10_000);
        let most = usize::try_from(most).ok().filter(|most| (1..=10_000).contains(most));
        let most = most.ok_or_else(|| {
            invalid_argument("Argument max-buckets must be an integer between 1 and 10000")
        })?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let mut found = self.objects.buckets().map_err(fault)?;
        found.retain(|bucket| {
            bucket.name.starts_with(&prefix)
                && input.bucket_region.as_ref().is_none_or(|wanted| wanted == region)
                && input.continuation_token.as_ref().is_none_or(|after| bucket.name > *after)
        });
        let more = found.len() > most;
        found.truncate(most);
        let next = found.last().filter(|_| more).map(|bucket| bucket.name.clone());
        let shown = |bucket: belljar_store::objects::Bucket| Bucket {
            bucket_region: Some(region.clone()),
            creation_date: Some(time(bucket.created)),
            name: Some(bucket.name),
        };
        Ok(ListBucketsOutput {
            buckets: Some(found.into_iter().map(shown).collect()),
            continuation_token: next,
            owner: Some(Owner { display_name: None, id: Some(self.config.owner()) }),
            prefix: input.prefix,
        })
    }
}
