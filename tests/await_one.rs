//! The example `await_one`, run as a program: what it prints, and that it ends.
#![cfg(feature = "async")]
#![cfg(not(miri))] // which starts no processes

#[path = "common/process.rs"]
#[expect(dead_code, reason = "it reads nothing, and keeps nothing")]
mod process;

use process::Example;

const PRINTED: &str = "\
one event, with a timeout
  not ready yet
  1 is ready
one of two, and none is lost
  7 is paid
  7 is shipped
no faster than the reader
  sent 1
  sent 2
  no room; it is taken back
  took 1
  sent 3
  took 2
  sent 4
  took 3
  took 4
  missed 0
listeners that await
  mail: thanks for 12
  card: charged for 12
  12: heard 2, failed 0
  mail: thanks for 13
  card failed: declined
  13: heard 2, failed 1
the event loop
  tick 0
  tick 1
  tick 2
  closed
";

#[test]
fn it_prints_what_happens_and_ends_by_itself() {
    let ended = Example::start("await_one", &[]).close();
    assert_eq!((ended.status, &*ended.stdout, &*ended.stderr), (Some(0), PRINTED, ""));
}
