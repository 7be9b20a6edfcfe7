//! SageMaker's instance types: vCPU and memory. Source: AWS's EC2 instance-type pages, which
//! give the same sizes for the `ml.` types of that name; half a GiB is left out.

use crate::Resources;

/// What `current_instance_type` says when no type was asked for, as in the SageMaker SDK's local
/// mode.
pub const LOCAL: &str = "local";

/// Processes and threads of a container, whatever its type.
pub const MAX_PROCESSES: u32 = 16_384;

/// A type's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceType {
    /// `ml.m5.large`.
    pub name: &'static str,
    /// vCPUs.
    pub vcpus: u32,
    /// GiB of memory.
    pub memory_gib: u32,
    /// GPUs or other accelerators.
    pub accelerators: u32,
}

impl InstanceType {
    /// The limits on a container of that type.
    #[must_use]
    pub fn resources(self) -> Resources {
        Resources {
            cpu_millis: Some(u64::from(self.vcpus) * 1000),
            memory_bytes: Some(u64::from(self.memory_gib) << 30),
            processes: MAX_PROCESSES,
        }
    }
}

/// Finds a type by its name.
#[must_use]
pub fn find(name: &str) -> Option<InstanceType> {
    FAMILIES.iter().find_map(|f| f.find(name))
}

/// Every type's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|f| f.sizes.iter().map(|s| s.0))
}

struct Family {
    /// GiB of memory for each vCPU; 0 where `sizes` gives it.
    gib_per_vcpu: u32,
    /// Name, vCPUs, GiB (if not by the family's ratio), accelerators.
    sizes: &'static [(&'static str, u32, u32, u32)],
}

impl Family {
    fn find(&self, wanted: &str) -> Option<InstanceType> {
        let &(name, vcpus, gib, accelerators) = self.sizes.iter().find(|s| s.0 == wanted)?;
        let memory_gib = if gib == 0 { vcpus * self.gib_per_vcpu } else { gib };
        Some(InstanceType { name, vcpus, memory_gib, accelerators })
    }
}

#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    Family { gib_per_vcpu: 4, sizes: &[
        ("ml.t3.medium", 2, 4, 0), ("ml.t3.large", 2, 8, 0), ("ml.t3.xlarge", 4, 16, 0), ("ml.t3.2xlarge", 8, 32, 0),
        ("ml.m4.xlarge", 4, 16, 0), ("ml.m4.2xlarge", 8, 32, 0), ("ml.m4.4xlarge", 16, 64, 0),
        ("ml.m4.10xlarge", 40, 160, 0), ("ml.m4.16xlarge", 64, 256, 0),
        ("ml.m5.large", 2, 0, 0), ("ml.m5.xlarge", 4, 0, 0), ("ml.m5.2xlarge", 8, 0, 0), ("ml.m5.4xlarge", 16, 0, 0),
        ("ml.m5.12xlarge", 48, 0, 0), ("ml.m5.24xlarge", 96, 0, 0),
        ("ml.m6i.large", 2, 0, 0), ("ml.m6i.xlarge", 4, 0, 0), ("ml.m6i.2xlarge", 8, 0, 0), ("ml.m6i.4xlarge", 16, 0, 0),
        ("ml.m6i.8xlarge", 32, 0, 0), ("ml.m6i.12xlarge", 48, 0, 0), ("ml.m6i.16xlarge", 64, 0, 0),
        ("ml.m6i.24xlarge", 96, 0, 0), ("ml.m6i.32xlarge", 128, 0, 0),
        ("ml.m7i.large", 2, 0, 0), ("ml.m7i.xlarge", 4, 0, 0), ("ml.m7i.2xlarge", 8, 0, 0), ("ml.m7i.4xlarge", 16, 0, 0),
        ("ml.m7i.8xlarge", 32, 0, 0), ("ml.m7i.12xlarge", 48, 0, 0), ("ml.m7i.16xlarge", 64, 0, 0),
        ("ml.m7i.24xlarge", 96, 0, 0), ("ml.m7i.48xlarge", 192, 0, 0),
        ("ml.g5.xlarge", 4, 0, 1), ("ml.g5.2xlarge", 8, 0, 1), ("ml.g5.4xlarge", 16, 0, 1), ("ml.g5.8xlarge", 32, 0, 1),
        ("ml.g5.12xlarge", 48, 0, 4), ("ml.g5.16xlarge", 64, 0, 1), ("ml.g5.24xlarge", 96, 0, 4), ("ml.g5.48xlarge", 192, 0, 8),
        ("ml.g4dn.xlarge", 4, 0, 1), ("ml.g4dn.2xlarge", 8, 0, 1), ("ml.g4dn.4xlarge", 16, 0, 1), ("ml.g4dn.8xlarge", 32, 0, 1),
        ("ml.g4dn.12xlarge", 48, 0, 4), ("ml.g4dn.16xlarge", 64, 0, 1),
        ("ml.g6.xlarge", 4, 0, 1), ("ml.g6.2xlarge", 8, 0, 1), ("ml.g6.4xlarge", 16, 0, 1), ("ml.g6.8xlarge", 32, 0, 1),
        ("ml.g6.12xlarge", 48, 0, 4), ("ml.g6.16xlarge", 64, 0, 1), ("ml.g6.24xlarge", 96, 0, 4), ("ml.g6.48xlarge", 192, 0, 8),
        ("ml.m7i-flex.large", 2, 0, 0), ("ml.m7i-flex.xlarge", 4, 0, 0), ("ml.m7i-flex.2xlarge", 8, 0, 0),
        ("ml.m7i-flex.4xlarge", 16, 0, 0), ("ml.m7i-flex.8xlarge", 32, 0, 0), ("ml.m7i-flex.12xlarge", 48, 0, 0),
        ("ml.m7i-flex.16xlarge", 64, 0, 0), ("ml.m8i.large", 2, 0, 0), ("ml.m8i.xlarge", 4, 0, 0),
        ("ml.m8i.2xlarge", 8, 0, 0), ("ml.m8i.4xlarge", 16, 0, 0), ("ml.m8i.8xlarge", 32, 0, 0),
        ("ml.m8i.12xlarge", 48, 0, 0), ("ml.m8i.16xlarge", 64, 0, 0), ("ml.m8i.24xlarge", 96, 0, 0),
        ("ml.m8i.32xlarge", 128, 0, 0), ("ml.m8i.48xlarge", 192, 0, 0), ("ml.m8i.96xlarge", 384, 0, 0),
        ("ml.m8i-flex.large", 2, 0, 0), ("ml.m8i-flex.xlarge", 4, 0, 0), ("ml.m8i-flex.2xlarge", 8, 0, 0),
        ("ml.m8i-flex.4xlarge", 16, 0, 0), ("ml.m8i-flex.8xlarge", 32, 0, 0), ("ml.m8i-flex.12xlarge", 48, 0, 0),
        ("ml.m8i-flex.16xlarge", 64, 0, 0),
    ] },
    Family { gib_per_vcpu: 2, sizes: &[
        ("ml.c5.xlarge", 4, 0, 0), ("ml.c5.2xlarge", 8, 0, 0), ("ml.c5.4xlarge", 16, 0, 0),
        ("ml.c5.9xlarge", 36, 0, 0), ("ml.c5.18xlarge", 72, 0, 0),
        ("ml.c6i.xlarge", 4, 0, 0), ("ml.c6i.2xlarge", 8, 0, 0), ("ml.c6i.4xlarge", 16, 0, 0), ("ml.c6i.8xlarge", 32, 0, 0),
        ("ml.c6i.12xlarge", 48, 0, 0), ("ml.c6i.16xlarge", 64, 0, 0), ("ml.c6i.24xlarge", 96, 0, 0), ("ml.c6i.32xlarge", 128, 0, 0),
        ("ml.c7i.large", 2, 0, 0), ("ml.c7i.xlarge", 4, 0, 0), ("ml.c7i.2xlarge", 8, 0, 0), ("ml.c7i.4xlarge", 16, 0, 0),
        ("ml.c7i.8xlarge", 32, 0, 0), ("ml.c7i.12xlarge", 48, 0, 0), ("ml.c7i.16xlarge", 64, 0, 0),
        ("ml.c7i.24xlarge", 96, 0, 0), ("ml.c7i.48xlarge", 192, 0, 0),
        ("ml.c7i-flex.xlarge", 4, 0, 0), ("ml.c7i-flex.2xlarge", 8, 0, 0), ("ml.c7i-flex.4xlarge", 16, 0, 0),
        ("ml.c7i-flex.8xlarge", 32, 0, 0), ("ml.c7i-flex.12xlarge", 48, 0, 0), ("ml.c7i-flex.16xlarge", 64, 0, 0),
        ("ml.c8i.xlarge", 4, 0, 0), ("ml.c8i.2xlarge", 8, 0, 0), ("ml.c8i.4xlarge", 16, 0, 0),
        ("ml.c8i.8xlarge", 32, 0, 0), ("ml.c8i.12xlarge", 48, 0, 0), ("ml.c8i.16xlarge", 64, 0, 0),
        ("ml.c8i.24xlarge", 96, 0, 0), ("ml.c8i.32xlarge", 128, 0, 0), ("ml.c8i.48xlarge", 192, 0, 0),
        ("ml.c8i.96xlarge", 384, 0, 0), ("ml.c8i-flex.xlarge", 4, 0, 0), ("ml.c8i-flex.2xlarge", 8, 0, 0),
        ("ml.c8i-flex.4xlarge", 16, 0, 0), ("ml.c8i-flex.8xlarge", 32, 0, 0), ("ml.c8i-flex.12xlarge", 48, 0, 0),
        ("ml.c8i-flex.16xlarge", 64, 0, 0),
    ] },
    Family { gib_per_vcpu: 8, sizes: &[
        ("ml.r5.large", 2, 0, 0), ("ml.r5.xlarge", 4, 0, 0), ("ml.r5.2xlarge", 8, 0, 0), ("ml.r5.4xlarge", 16, 0, 0),
        ("ml.r5.8xlarge", 32, 0, 0), ("ml.r5.12xlarge", 48, 0, 0), ("ml.r5.16xlarge", 64, 0, 0), ("ml.r5.24xlarge", 96, 0, 0),
        ("ml.r7i.large", 2, 0, 0), ("ml.r7i.xlarge", 4, 0, 0), ("ml.r7i.2xlarge", 8, 0, 0), ("ml.r7i.4xlarge", 16, 0, 0),
        ("ml.r7i.8xlarge", 32, 0, 0), ("ml.r7i.12xlarge", 48, 0, 0), ("ml.r7i.16xlarge", 64, 0, 0),
        ("ml.r7i.24xlarge", 96, 0, 0), ("ml.r7i.48xlarge", 192, 0, 0),
        ("ml.r5d.large", 2, 0, 0), ("ml.r5d.xlarge", 4, 0, 0), ("ml.r5d.2xlarge", 8, 0, 0),
        ("ml.r5d.4xlarge", 16, 0, 0), ("ml.r5d.8xlarge", 32, 0, 0), ("ml.r5d.12xlarge", 48, 0, 0),
        ("ml.r5d.16xlarge", 64, 0, 0), ("ml.r5d.24xlarge", 96, 0, 0),
        ("ml.r6i.large", 2, 0, 0), ("ml.r6i.xlarge", 4, 0, 0), ("ml.r6i.2xlarge", 8, 0, 0),
        ("ml.r6i.4xlarge", 16, 0, 0), ("ml.r6i.8xlarge", 32, 0, 0), ("ml.r6i.12xlarge", 48, 0, 0),
        ("ml.r6i.16xlarge", 64, 0, 0), ("ml.r6i.24xlarge", 96, 0, 0), ("ml.r6i.32xlarge", 128, 0, 0),
        ("ml.r8i.large", 2, 0, 0), ("ml.r8i.xlarge", 4, 0, 0), ("ml.r8i.2xlarge", 8, 0, 0),
        ("ml.r8i.4xlarge", 16, 0, 0), ("ml.r8i.8xlarge", 32, 0, 0), ("ml.r8i.12xlarge", 48, 0, 0),
        ("ml.r8i.16xlarge", 64, 0, 0), ("ml.r8i.24xlarge", 96, 0, 0), ("ml.r8i.32xlarge", 128, 0, 0),
        ("ml.r8i.48xlarge", 192, 0, 0), ("ml.r8i.96xlarge", 384, 0, 0),
        ("ml.r8i-flex.large", 2, 0, 0), ("ml.r8i-flex.xlarge", 4, 0, 0), ("ml.r8i-flex.2xlarge", 8, 0, 0),
        ("ml.r8i-flex.4xlarge", 16, 0, 0), ("ml.r8i-flex.8xlarge", 32, 0, 0), ("ml.r8i-flex.12xlarge", 48, 0, 0),
        ("ml.r8i-flex.16xlarge", 64, 0, 0),
    ] },
    Family { gib_per_vcpu: 0, sizes: &[
        ("ml.p3.2xlarge", 8, 61, 1), ("ml.p3.8xlarge", 32, 244, 4), ("ml.p3.16xlarge", 64, 488, 8),
        ("ml.p3dn.24xlarge", 96, 768, 8), ("ml.p4d.24xlarge", 96, 1152, 8), ("ml.p4de.24xlarge", 96, 1152, 8),
        ("ml.p5.48xlarge", 192, 2048, 8),
        ("ml.trn1.2xlarge", 8, 32, 1), ("ml.trn1.32xlarge", 128, 512, 16), ("ml.trn1n.32xlarge", 128, 512, 16),
        ("ml.inf2.xlarge", 4, 16, 1), ("ml.inf2.8xlarge", 32, 128, 1), ("ml.inf2.24xlarge", 96, 384, 6), ("ml.inf2.48xlarge", 192, 768, 12),
        ("ml.c4.xlarge", 4, 7, 0), ("ml.c4.2xlarge", 8, 15, 0), ("ml.c4.4xlarge", 16, 30, 0),
        ("ml.c4.8xlarge", 36, 60, 0), ("ml.c5n.xlarge", 4, 10, 0), ("ml.c5n.2xlarge", 8, 21, 0),
        ("ml.c5n.4xlarge", 16, 42, 0), ("ml.c5n.9xlarge", 36, 96, 0), ("ml.c5n.18xlarge", 72, 192, 0),
        ("ml.g6e.xlarge", 4, 32, 1), ("ml.g6e.2xlarge", 8, 64, 1), ("ml.g6e.4xlarge", 16, 128, 1),
        ("ml.g6e.8xlarge", 32, 256, 1), ("ml.g6e.12xlarge", 48, 384, 4), ("ml.g6e.16xlarge", 64, 512, 1),
        ("ml.g6e.24xlarge", 96, 768, 4), ("ml.g6e.48xlarge", 192, 1536, 8),
        ("ml.g7e.2xlarge", 8, 64, 1), ("ml.g7e.4xlarge", 16, 128, 1), ("ml.g7e.8xlarge", 32, 256, 1),
        ("ml.g7e.12xlarge", 48, 512, 2), ("ml.g7e.24xlarge", 96, 1024, 4), ("ml.g7e.48xlarge", 192, 2048, 8),
        ("ml.p2.xlarge", 4, 61, 1), ("ml.p2.8xlarge", 32, 488, 8), ("ml.p2.16xlarge", 64, 732, 16),
        ("ml.p5.4xlarge", 16, 256, 1), ("ml.p5e.48xlarge", 192, 2048, 8),
        ("ml.p5en.48xlarge", 192, 2048, 8), ("ml.p6-b200.48xlarge", 192, 2048, 8),
        ("ml.p6-b300.48xlarge", 192, 4096, 8), ("ml.p6e-gb200.36xlarge", 144, 960, 4),
        ("ml.trn2.48xlarge", 192, 2048, 16),
    ] },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_everybody_knows() {
        let m5 = find("ml.m5.large").unwrap();
        assert_eq!((m5.vcpus, m5.memory_gib, m5.accelerators), (2, 8, 0));
        assert_eq!(find("ml.c5.9xlarge").unwrap().memory_gib, 72);
        assert_eq!(find("ml.p3.2xlarge").unwrap().memory_gib, 61);
        assert_eq!(find("m5.large"), None);
    }

    #[test]
    fn each_name_once_and_each_with_memory() {
        let mut all: Vec<_> = names().collect();
        assert!(all.iter().all(|n| find(n).unwrap().memory_gib > 0));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), names().count());
    }
}
