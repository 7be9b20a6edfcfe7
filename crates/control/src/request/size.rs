//! How large a container may be: an instance type's size, or CPUs and memory.

use super::RequestError;
use crate::machine::Machine;
use belljar_domain::size::{human_bytes, parse_bytes};
use belljar_domain::{Resources, instance};

/// The least memory that is taken, as a guard against `--memory 512` meaning megabytes.
pub const MIN_MEMORY_BYTES: u64 = 8 << 20;
/// Names that are shown for one that is not known.
const NEAREST: usize = 3;

/// An instance's type and limits.
pub(super) struct Size {
    pub(super) instance_type: String,
    pub(super) resources: Resources,
    pub(super) warnings: Vec<String>,
}

/// Decides it. An instance type that is larger than this machine is cut down with a warning (its
/// name says what to run like, not what is owned); sizes given by hand are kept or refused.
pub(super) fn decide(
    instance_type: Option<&str>,
    cpus: Option<&str>,
    memory: Option<&str>,
    machine: Machine,
) -> Result<Size, RequestError> {
    match instance_type {
        Some(_) if cpus.is_some() || memory.is_some() => Err(RequestError::TypeAndSize),
        Some(name) if name != instance::LOCAL => of_type(name, machine),
        _ => by_hand(cpus, memory, machine),
    }
}

/// The limits of an instance type, cut down to this machine.
pub(super) fn of_type(name: &str, machine: Machine) -> Result<Size, RequestError> {
    let found = instance::find(name).ok_or_else(|| RequestError::InstanceType {
        name: name.to_owned(),
        nearest: nearest(name),
    })?;
    let mut resources = found.resources();
    let mut warnings = Vec::new();
    if let Some(wanted) = resources.cpu_millis.filter(|w| *w > machine.cpu_millis) {
        warnings.push(format!(
            "{name} has {} vCPUs and this machine {}: the container gets {}",
            wanted / 1000,
            machine.cpu_millis / 1000,
            machine.cpu_millis / 1000
        ));
        resources.cpu_millis = Some(machine.cpu_millis);
    }
    if let (Some(wanted), Some(has)) = (resources.memory_bytes, machine.memory_bytes)
        && wanted > has
    {
        warnings.push(format!(
            "{name} has {} of memory and this machine {}: the container gets that",
            human_bytes(wanted),
            human_bytes(has)
        ));
        resources.memory_bytes = Some(has);
    }
    if found.accelerators > 0 {
        warnings.push(format!(
            "{name} has {} accelerators; the container gets none: Belljar passes no device in",
            found.accelerators
        ));
    }
    Ok(Size { instance_type: name.to_owned(), resources, warnings })
}

fn by_hand(
    cpus: Option<&str>,
    memory: Option<&str>,
    machine: Machine,
) -> Result<Size, RequestError> {
    let cpu_millis = cpus.map(parse_cpus).transpose()?;
    if let Some(millis) = cpu_millis.filter(|m| *m > machine.cpu_millis) {
        let fraction = millis % 1000;
        let wanted = match fraction {
            0 => (millis / 1000).to_string(),
            _ => format!("{}.{fraction:03}", millis / 1000).trim_end_matches('0').to_owned(),
        };
        return Err(RequestError::NotEnoughCpus { wanted, has: machine.cpu_millis / 1000 });
    }
    let memory_bytes = memory
        .map(parse_bytes)
        .transpose()
        .map_err(|source| RequestError::Quantity { what: "the memory size", source })?;
    match (memory_bytes, machine.memory_bytes) {
        (Some(wanted), _) if wanted < MIN_MEMORY_BYTES => {
            return Err(RequestError::LittleMemory(wanted));
        }
        (Some(wanted), Some(has)) if wanted > has => {
            return Err(RequestError::NotEnoughMemory { wanted, has });
        }
        _ => {}
    }
    let resources = Resources { cpu_millis, memory_bytes, processes: instance::MAX_PROCESSES };
    Ok(Size { instance_type: instance::LOCAL.to_owned(), resources, warnings: Vec::new() })
}

/// `2`, `0.5`: a positive number with at most three decimals, in thousandths.
fn parse_cpus(text: &str) -> Result<u64, RequestError> {
    let wrong = || RequestError::Cpus(text.to_owned());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let fraction: u64 = format!("{fraction:0<3}").parse().map_err(|_| wrong())?;
    let millis = whole.checked_mul(1000).and_then(|w| w.checked_add(fraction)).ok_or_else(wrong)?;
    if millis == 0 { Err(wrong()) } else { Ok(millis) }
}

/// The known names that are most like this one.
fn nearest(name: &str) -> Vec<&'static str> {
    let mut scored: Vec<_> = instance::names()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(NEAREST).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Machine = Machine { cpu_millis: 2000, memory_bytes: Some(4 << 30) };

    #[test]
    fn cpus_are_counted_in_thousandths() {
        assert_eq!(parse_cpus("2").unwrap(), 2000);
        assert_eq!(parse_cpus("0.5").unwrap(), 500);
        assert_eq!(parse_cpus("1.005").unwrap(), 1005);
        for bad in ["", "0", "0.0", "-1", "1.", ".5", "1.0001", "two", "99999999999999999999"] {
            assert!(parse_cpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_type_is_cut_down_with_a_warning_and_a_size_by_hand_is_refused() {
        let size = decide(Some("ml.g5.12xlarge"), None, None, SMALL).unwrap();
        assert_eq!(size.resources.cpu_millis, Some(2000));
        assert_eq!(size.resources.memory_bytes, Some(4 << 30));
        assert_eq!(size.warnings.len(), 3, "{:?}", size.warnings);
        let e = decide(None, Some("2.5"), None, SMALL).err().unwrap();
        assert!(e.machine() && e.to_string().contains("2.5 CPUs"), "{e}");
        assert!(decide(None, None, Some("5G"), SMALL).err().unwrap().machine());
        assert!(!decide(None, None, Some("512"), SMALL).err().unwrap().machine());
    }

    #[test]
    fn an_unknown_type_names_its_neighbours() {
        let e = decide(Some("m5.large"), None, None, SMALL).err().unwrap();
        assert!(e.hint().unwrap().contains("ml.m5.large"), "{:?}", e.hint());
        let e = decide(Some("zzz"), None, None, SMALL).err().unwrap();
        assert!(e.hint().unwrap().contains("--cpus"));
    }

    #[test]
    fn nothing_asked_for_means_no_limit() {
        let size = decide(None, None, None, SMALL).unwrap();
        assert_eq!(size.instance_type, "local");
        assert_eq!((size.resources.cpu_millis, size.resources.memory_bytes), (None, None));
        assert!(decide(Some("ml.m5.large"), Some("1"), None, SMALL).is_err());
    }
}
