//! Paths: questions that can be asked again.

use super::{ANALYSIS, PATH, flow, of_kind, remove, seconds, tagged};
use crate::api::ec2::listing::{Filters, Listing};
use crate::api::ec2::tags::{self, TagSpecification};
use crate::api::ec2::{places, token};
use crate::network::error::{self, refused};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::id::{InsightsAnalysisId, InsightsPathId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Paths of a region (VPC Reachability Analyzer, "Quotas").
const MAX_PATHS: usize = 100;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Create {
    #[serde(flatten)]
    question: flow::Question,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    client_token: Option<String>,
}

pub(in crate::api::ec2) async fn create(
    service: &Service,
    _: &Caller,
    input: Create,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, PATH)?;
    input.question.check()?;
    let edit = service.network.edit(|draft| {
        let token = input.client_token.as_deref();
        token::once(draft, ("CreateNetworkInsightsPath", token), &input, |draft| {
            if of_kind::<InsightsPathId>(&draft.notes, PATH).len() >= MAX_PATHS {
                let text = "You have reached the limit on the number of network insights paths.";
                return Err(refused("NetworkInsightsPathLimitExceeded", text));
            }
            input.question.check_ends(draft)?;
            let id: InsightsPathId = draft.fresh();
            let mut note = serde_json::to_value(&input.question).unwrap_or_default();
            note["NetworkInsightsPathId"] = id.as_str().into();
            note["NetworkInsightsPathArn"] = places::arn(service, PATH, id.as_str()).into();
            note["CreatedDate"] = json!(seconds(draft.now()));
            for end in ["Source", "Destination"] {
                if let Some(arn) = note[end].as_str().and_then(|id| flow::arn(service, id)) {
                    note[format!("{end}Arn")] = arn.into();
                }
            }
            draft.set_note(PATH, id.as_str(), note);
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let paths = of_kind(&now.notes, PATH);
    let note = error::get(&paths, &id)?;
    Ok(json!({"NetworkInsightsPath": tagged(&now, id.as_str(), note)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Named {
    network_insights_path_id: String,
}

pub(in crate::api::ec2) async fn delete(
    service: &Service,
    _: &Caller,
    input: Named,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let (id, _) = error::named::<InsightsPathId, _>(
            &of_kind(&draft.notes, PATH),
            &input.network_insights_path_id,
        )
        .map(|(id, _)| (id, ()))?;
        let analyses = of_kind::<InsightsAnalysisId>(&draft.notes, ANALYSIS);
        if analyses.values().any(|a| a["NetworkInsightsPathId"] == id.as_str()) {
            let text = format!("The network insights path {id} has analyses: delete them first.");
            return Err(refused("AnalysisExistsForNetworkInsightsPath", text));
        }
        remove(draft, PATH, id.as_str());
        Ok(id)
    });
    let (id, _) = edit.await?;
    Ok(json!({"NetworkInsightsPathId": id.as_str()}))
}

const FILTERS: Filters = &[
    ("destination", "Destination"),
    ("filter-at-destination.destination-address", "FilterAtDestination.DestinationAddress"),
    ("filter-at-source.source-address", "FilterAtSource.SourceAddress"),
    ("filter-at-source.destination-address", "FilterAtSource.DestinationAddress"),
    ("protocol", "Protocol"),
    ("source", "Source"),
];

pub(in crate::api::ec2) async fn describe(
    service: &Service,
    _: &Caller,
    listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let paths = of_kind::<InsightsPathId>(&now.notes, PATH);
    let of = ("NetworkInsightsPathIds", &paths);
    listing.of("NetworkInsightsPaths", of, FILTERS, |id, note| tagged(&now, id.as_str(), note))
}
