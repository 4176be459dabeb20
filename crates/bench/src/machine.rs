//! A description of the machine, for the heading: a figure is meaningless without it.

use std::fs;
use std::thread;

/// Returns the processors, their model and the kernel, in one line.
pub(crate) fn describe() -> String {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{processors} × {}, Linux {}",
        model(&info).unwrap_or("unknown processor"),
        kernel.trim_end(),
    )
}

fn model(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn the_model_is_that_of_the_first_processor() {
        let info = "processor\t: 0\nmodel name\t: One\nprocessor\t: 1\nmodel name\t: Two\n";
        assert_eq!(model(info), Some("One"));
        assert_eq!(model("processor\t: 0\n"), None);
    }
}
