//! Limits of memory, as the files of made-up machines tell them.

use std::fs;
use std::io::Write;

use stead_base::ByteSize;
use stead_core::Level;

use super::*;

const MIB: u64 = 1 << 20;

/// A machine of 1 GiB on which 600 MiB are left and we use 100 MiB.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    write(
        &root,
        "proc/self/status",
        "Name:\tstead\nVmSize:\t  512000 kB\nVmRSS:\t 112640 kB\nRssAnon:\t  102400 kB\n",
    );
    write(
        &root,
        "proc/meminfo",
        "MemTotal:        1048576 kB\nMemFree:          9 kB\nMemAvailable:     614400 kB\n",
    );
    root
}

fn write(root: &tempfile::TempDir, path: &str, text: &str) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    // In place, so that whoever has it open sees the change.
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).open(path);
    file.as_mut().expect("a file").write_all(text.as_bytes()).expect("write");
}

fn version_two(root: &tempfile::TempDir, path: &str, max: &str, current: u64) {
    let directory = format!("sys/fs/cgroup{path}");
    write(root, &format!("{directory}/memory.max"), &format!("{max}\n"));
    write(root, &format!("{directory}/memory.high"), "max\n");
    write(root, &format!("{directory}/memory.current"), &format!("{}\n", current * MIB));
    let (cache, slab) = (20 * MIB, 4 * MIB);
    let stat = format!(
        "anon 1\nfile 2\ninactive_file {cache}\nactive_file {cache}\nslab_reclaimable {slab}\n"
    );
    write(root, &format!("{directory}/memory.stat"), &stat);
}

const TWO: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

fn find(root: &tempfile::TempDir, budget: MemoryBudget) -> Memory {
    Memory::find_in(root.path(), budget, None).expect("limits")
}

fn reading(used: u64, max: u64, of: &'static str) -> Reading {
    Reading { used: used * MIB, max: max * MIB, of }
}

/// As [`reading`], where hundredths of the limit were cut off.
fn about(found: Option<Reading>, expect: Reading) {
    let found = found.expect("a reading");
    assert_eq!((found.used, found.of), (expect.used, expect.of));
    assert!(expect.max - found.max < 100, "{found:?}, not {expect:?}");
}

#[test]
fn without_a_group_it_is_what_is_left_of_the_machine() {
    let root = machine();
    let memory = find(&root, MemoryBudget::Auto);
    about(memory.sample(0), reading(100, 700, "machine"));
    // The kernel's part of connections counts too.
    about(memory.sample(25_600), reading(200, 800, "machine"));
    about(find(&root, MemoryBudget::Share(50)).sample(0), reading(100, 350, "machine"));
    // 90 % of 700 MiB.
    let connections = memory.connections() as u64;
    assert_eq!(connections, 700 * MIB / 100 * 90 / (4 * 1024 + 512));
}

#[test]
fn a_size_that_was_written_is_compared_with_our_own_use() {
    let root = machine();
    let memory = find(&root, MemoryBudget::Size(ByteSize(128 * MIB)));
    about(memory.sample(0), reading(100, 128, "process.memory"));
    about(memory.lowest(), reading(100, 128, "process.memory"));
    // More than there is does not help.
    let memory = find(&root, MemoryBudget::Size(ByteSize(10_000 * MIB)));
    about(memory.lowest(), reading(100, 700, "machine"));
    assert!(Memory::find_in(root.path(), MemoryBudget::Off, None).is_none());
}

#[test]
fn an_address_space_that_is_limited_is_one_more() {
    let root = machine();
    let limited = Memory::find_in(root.path(), MemoryBudget::Auto, Some(512 * MIB));
    about(limited.expect("limits").sample(0), reading(500, 512, "address space"));
}

#[test]
fn security_36_a_control_group_limits_wherever_on_the_way_to_it() {
    let root = machine();
    write(&root, "proc/self/cgroup", "0::/web.slice/stead.service\n");
    write(&root, "proc/self/mountinfo", &format!("22 1 8:1 / / rw - ext4 /dev/a rw\n{TWO}"));
    version_two(&root, "/web.slice/stead.service", "max", 150);
    version_two(&root, "/web.slice", &(256 * MIB).to_string(), 144);
    let memory = find(&root, MemoryBudget::Auto);
    // Without the page cache and what the kernel can have back.
    about(memory.sample(0), reading(100, 256, "control group"));
    // Whose inodes it cannot have back.
    about(memory.sample(1 << 10), reading(101, 256, "control group"));
    about(find(&root, MemoryBudget::Share(50)).sample(0), reading(100, 128, "control group"));
    version_two(&root, "/web.slice", &(256 * MIB).to_string(), 200);
    about(memory.sample(0), reading(156, 256, "control group"));
    // The kernel slows a group down beyond `high`.
    write(&root, "sys/fs/cgroup/web.slice/stead.service/memory.high", "134217728\n");
    about(find(&root, MemoryBudget::Auto).lowest(), reading(106, 128, "control group"));
}

#[test]
fn a_container_sees_its_own_part_of_the_tree() {
    for (cgroup, mounted) in [("0::/", "/"), ("0::/docker/a1", "/docker/a1"), ("0::/../x", "/")] {
        let root = machine();
        write(&root, "proc/self/cgroup", &format!("{cgroup}\n"));
        write(&root, "proc/self/mountinfo", &TWO.replace(" / /sys", &format!(" {mounted} /sys")));
        version_two(&root, "", &(256 * MIB).to_string(), 144);
        about(find(&root, MemoryBudget::Auto).sample(0), reading(100, 256, "control group"));
    }
}

#[test]
fn version_one_counts_sockets_apart() {
    let root = machine();
    write(&root, "proc/self/cgroup", "5:cpu:/\n4:hugetlb,memory:/box\n0::/\n");
    write(
        &root,
        "proc/self/mountinfo",
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
         32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n",
    );
    let box_of = |name: &str, text: String| {
        write(&root, &format!("sys/fs/cgroup/memory/box/memory.{name}"), &text);
    };
    box_of("limit_in_bytes", format!("{}\n", 512 * MIB));
    box_of("usage_in_bytes", format!("{}\n", 300 * MIB));
    let cache = 50 * MIB;
    box_of("stat", format!("inactive_file 1\ntotal_inactive_file {cache}\ntotal_active_file 0\n"));
    box_of("kmem.tcp.usage_in_bytes", format!("{}\n", 10 * MIB));
    write(&root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write(&root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
    about(find(&root, MemoryBudget::Auto).sample(0), reading(260, 512, "control group"));
}

#[test]
fn odd_files_limit_nothing_and_break_nothing() {
    let root = machine();
    for (cgroup, mounts) in [
        ("", ""),
        ("0:", " - "),
        (":::", "a b c d - cgroup2"),
        ("0::/x", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 a b\n"),
        ("\u{0}", "30 23 0:26 /y /none rw - cgroup2 cgroup2 rw"),
    ] {
        write(&root, "proc/self/cgroup", cgroup);
        write(&root, "proc/self/mountinfo", mounts);
        about(find(&root, MemoryBudget::Auto).sample(0), reading(100, 700, "machine"));
    }
    write(&root, "proc/self/status", "");
    assert_eq!(find(&root, MemoryBudget::Auto).sample(0), None);
    assert!(find(&machine(), MemoryBudget::Auto).sample(usize::MAX >> 20).is_some());
}

#[test]
fn this_machine_has_limits_that_can_be_read() {
    let memory = Memory::find(MemoryBudget::Auto).expect("there is /proc");
    let reading = memory.sample(0).expect("a reading");
    assert!(reading.used > 0 && reading.max > MIB, "{reading:?}");
}

#[test]
fn a_level_does_not_last_where_nothing_can_be_sampled() {
    let process = Process::default();
    note(Some(Reading { used: 97, max: 100, of: "machine" }), &process);
    assert!(process.level() > Level::Calm);
    note(None, &process);
    assert_eq!((process.level(), process.pressure.memory().percent()), (Level::Calm, 0));
}
