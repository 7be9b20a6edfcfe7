//! Analyses: what a path is answered, and stays answered.

use super::{ANALYSIS, PATH, flow, of_kind, remove, seconds, shown, tagged};
use crate::api::ec2::listing::{Filters, Listing};
use crate::api::ec2::tags::{self, TagSpecification};
use crate::api::ec2::{places, token};
use crate::network::error::{self, refused};
use crate::service::{Caller, Service};
use belljar_aws::AwsError;
use belljar_vpc::Network;
use belljar_vpc::id::{InsightsAnalysisId, InsightsPathId};
use belljar_vpc::reach::reach;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Analyses of a region (VPC Reachability Analyzer, "Quotas").
const MAX_ANALYSES: usize = 1000;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Start {
    network_insights_path_id: String,
    #[serde(default)]
    tag_specifications: Vec<TagSpecification>,
    client_token: Option<String>,
}

/// It is answered at once: `reach` takes less than the request.
pub(in crate::api::ec2) async fn start(
    service: &Service,
    _: &Caller,
    input: Start,
) -> Result<Value, AwsError> {
    let tags = tags::of(&input.tag_specifications, ANALYSIS)?;
    // The analysis is of the network as it was when this request came.
    let before = service.network.current();
    let edit = service.network.edit(|draft| {
        let token = input.client_token.as_deref();
        token::once(draft, ("StartNetworkInsightsAnalysis", token), &input, |draft| {
            let paths = of_kind::<InsightsPathId>(&draft.notes, PATH);
            let (path, question) = error::named(&paths, &input.network_insights_path_id)?;
            if of_kind::<InsightsAnalysisId>(&draft.notes, ANALYSIS).len() >= MAX_ANALYSES {
                let text = "You have reached the limit on the number of network insights analyses.";
                return Err(refused("NetworkInsightsAnalysisLimitExceeded", text));
            }
            let id: InsightsAnalysisId = draft.fresh();
            let mut note = analyse(service, &before.network, question);
            note["NetworkInsightsAnalysisId"] = id.as_str().into();
            note["NetworkInsightsAnalysisArn"] = places::arn(service, ANALYSIS, id.as_str()).into();
            note["NetworkInsightsPathId"] = path.as_str().into();
            note["StartDate"] = json!(seconds(draft.now()));
            draft.set_note(ANALYSIS, id.as_str(), note);
            draft.tag(id.as_str(), tags);
            Ok(id)
        })
    });
    let (id, now) = edit.await?;
    let analyses = of_kind(&now.notes, ANALYSIS);
    let note = error::get(&analyses, &id)?;
    Ok(json!({"NetworkInsightsAnalysis": tagged(&now, id.as_str(), note)}))
}

fn analyse(service: &Service, network: &Network, question: &Value) -> Value {
    let question = serde_json::from_value::<flow::Question>(question.clone());
    let question = question.map_err(|_| AwsError::internal());
    let answer = question.and_then(|question| {
        let mut answer = reach(network, &question.flow(network)?);
        answer.blockers.extend(question.missed(network, &answer));
        Ok(answer)
    });
    match answer {
        Ok(answer) => shown::analysis(service, network, &answer),
        // An end is gone since the path was made.
        Err(e) => json!({"Status": "failed", "StatusMessage": e.message}),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(in crate::api::ec2) struct Named {
    network_insights_analysis_id: String,
}

pub(in crate::api::ec2) async fn delete(
    service: &Service,
    _: &Caller,
    input: Named,
) -> Result<Value, AwsError> {
    let edit = service.network.edit(|draft| {
        let analyses = of_kind::<InsightsAnalysisId>(&draft.notes, ANALYSIS);
        let (id, _) = error::named(&analyses, &input.network_insights_analysis_id)?;
        remove(draft, ANALYSIS, id.as_str());
        Ok(id)
    });
    let (id, _) = edit.await?;
    Ok(json!({"NetworkInsightsAnalysisId": id.as_str()}))
}

const FILTERS: Filters = &[("path-found", "NetworkPathFound"), ("status", "Status")];

pub(in crate::api::ec2) async fn describe(
    service: &Service,
    _: &Caller,
    mut listing: Listing,
) -> Result<Value, AwsError> {
    let now = service.network.current();
    let path: Option<String> = listing.take("NetworkInsightsPathId")?;
    let from: Option<f64> = listing.take("AnalysisStartTime")?;
    let to: Option<f64> = listing.take("AnalysisEndTime")?;
    let mut analyses = of_kind::<InsightsAnalysisId>(&now.notes, ANALYSIS);
    analyses.retain(|_, analysis| {
        let at = analysis["StartDate"].as_f64().unwrap_or_default();
        path.as_ref().is_none_or(|path| analysis["NetworkInsightsPathId"] == path.as_str())
            && from.is_none_or(|from| at >= from)
            && to.is_none_or(|to| at <= to)
    });
    let of = ("NetworkInsightsAnalysisIds", &analyses);
    listing.of("NetworkInsightsAnalyses", of, FILTERS, |id, note| tagged(&now, id.as_str(), note))
}
