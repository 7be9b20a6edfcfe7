use super::pattern::compile;
use super::*;
use crate::Service;

#[test]
fn every_pattern_of_every_model_can_be_compiled() {
    let mut wrong = Vec::new();
    for service in Service::ALL {
        for shape in &service.model().definition.shapes {
            if let Kind::String { pattern: Some(pattern), .. } = &shape.kind
                && let Err(error) = compile(pattern.as_str())
            {
                wrong.push(format!("{service} {} {} {error}", shape.name, pattern.as_str()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
