//! The example `sensors`, run as a program: what it prints, what it exits with, how much memory it takes.

#![cfg(not(miri))] // which starts no processes

#[path = "common/process.rs"]
mod process;

use std::fs;
use std::path::Path;

use process::{Ended, Example, assert_grew_little};

const LONGEST: usize = 1024;

/// Readings, malformed, blank or header.
type Fates = [u64; 3];

#[test]
fn the_readings_beside_the_example_go_to_whoever_listens_to_their_topics() {
    let ended = start(&[]).close();
    assert_eq!(ended.status, Some(0));
    assert_eq!(fates(&ended), [47, 10, 3]);
    assert_eq!(ended.count("lines read"), 60);
    for (pattern, times) in [
        ("building.3.**", 17),
        ("building.*.floor.2.**", 14),
        ("**.temperature", 25),
        ("building.*.roof.*", 4),
        ("**.smoke", 2),
        ("building.*.floor.**.temperature", 2),
        ("alarm.*", 4),
        ("**", 47 + 4),
    ] {
        assert_eq!(heard(&ended, pattern)[0], times.to_string(), "{pattern}");
    }
    assert_eq!(ended.count("readings that nobody heard"), 9);
}

#[test]
fn every_malformed_line_is_told_once_with_its_number_and_what_is_wrong_with_it() {
    let ended = start(&[]).close();
    let expected = [
        (5, "not `time,topic,value`: the number of its fields is 2"),
        (14, "not a number: \"n/a\""),
        (18, "\"building.1..room.21.temperature\" is no topic: an empty segment at byte 11"),
        (22, "not a number: \"46,5\""),
        (25, "not UTF-8"),
        (28, "\"building.2.floor.*.temperature\" is no topic: a wildcard at byte 17"),
        (31, "\"building.2.floor.3.meeting room.temperature\" is no topic: white space at byte 26"),
        (36, "not `time,topic,value`: the number of its fields is 4"),
        (44, "not a number: \"NaN\""),
        (57, "\"\" is no topic: it is empty"),
    ];
    assert_told(&ended, &expected);
}

#[test]
fn a_dash_reads_stdin_and_a_path_reads_a_file() {
    let lines = "time,topic,value\n1,a.temperature,20\n2,a.temperature,warm\n";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("two_readings.csv");
    fs::write(&file, lines).expect("a file in the tests' own directory");
    for ended in [read(lines), start(&[file.to_str().expect("a plain path")]).close()] {
        assert_eq!(ended.status, Some(0));
        assert_eq!(fates(&ended), [1, 1, 1]);
        assert_eq!(heard(&ended, "**.temperature"), ["1", "20.0", "20.0", "20.0"]);
    }
}

#[test]
fn an_input_that_cant_be_read_ends_with_status_2_and_one_line_that_says_so() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (arguments, says) in [
        (&["no/such/file.csv"][..], "can't read no/such/file.csv: "),
        (&["no\nsuch\nfile"], "can't read no\\nsuch\\nfile: "),
        (&[directory], directory),
        (&["-", "-"], "too many arguments"),
    ] {
        let ended = start(arguments).close();
        assert_eq!(ended.status, Some(2), "{arguments:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.starts_with("sensors: ") && ended.stderr.contains(says), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn an_empty_input_has_a_table_of_nothing() {
    let ended = read("");
    assert_eq!(ended.status, Some(0));
    assert_eq!((fates(&ended), &*ended.stderr), ([0; 3], ""));
    assert_eq!(heard(&ended, "**.temperature"), ["0"]);
}

#[test]
fn only_the_first_line_is_a_header() {
    let ended = read("time,topic,value\ntime,topic,value\n");
    assert_eq!(fates(&ended), [0, 1, 1]);
    assert_told(&ended, &[(2, "not a number: \"value\"")]);
}

#[test]
fn lines_may_end_as_on_windows_and_the_last_one_with_the_file() {
    assert_eq!(fates(&read("time,topic,value\r\n1,a.b,1\r\n\r\n \n2,a.b,2")), [2, 0, 3]);
}

#[test]
fn fields_may_be_quoted_and_a_quote_that_is_never_closed_costs_no_other_line() {
    let ended = read(
        "1,\"a.temperature\",\"1\"\n2,\"a.temperature,2\n3,a.temperature,3\n4,a.temperature,\"4\n5,a\"b,5\n6,a,6\n",
    );
    assert_eq!(fates(&ended), [5, 1, 0]);
    assert_told(&ended, &[(2, "not `time,topic,value`")]);
    assert_eq!(heard(&ended, "**.temperature"), ["3", "1.0", "2.7", "4.0"]);
}

#[test]
fn only_a_finite_number_is_a_value() {
    let (wrong, right) =
        (["", "x", "1 000", "0x10", "NaN", "inf", "-inf", "1e999"], ["0", "-0.5", "+7", "1e3", ".5", " 2 "]);
    let lines: Vec<_> = wrong.iter().chain(&right).map(|value| format!("1,a.b,{value}\n")).collect();
    assert_eq!(fates(&read(&lines.concat())), [right.len() as u64, wrong.len() as u64, 0]);
}

#[test]
fn a_line_over_the_limit_is_told_as_malformed_and_the_rest_goes_on() {
    let padded = |length: usize| format!("1,a.b,{:>1$}\n", 1, length - "1,a.b,".len());
    let ended = read(&[padded(LONGEST), padded(LONGEST + 1), padded(LONGEST), "x".repeat(9 * LONGEST)].concat());
    assert_eq!(fates(&ended), [2, 2, 0]);
    assert_told(&ended, &[(2, "longer than 1024 bytes"), (4, "longer than 1024 bytes")]);
}

#[test]
fn outside_text_can_neither_break_a_report_nor_command_the_terminal() {
    let ended = read("1,a\u{1b}[2J,1\n1,a,\u{1b}[2J\rline 7: forged\n1,a.b,1\n");
    assert_eq!(fates(&ended), [1, 2, 0]);
    assert_told(&ended, &[(1, "\"a\\u{1b}[2J\" is no topic"), (2, "not a number: \"\\u{1b}[2J\\rline 7: forged\"")]);
}

#[test]
fn a_reader_that_leaves_before_the_table_is_no_failure() {
    let mut sensors = start(&["-"]);
    sensors.close_stdout();
    sensors.write("1,a.b,1\n");
    let ended = sensors.close();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
}

#[test]
fn a_hundred_thousand_lines_are_all_accounted_for_in_constant_memory() {
    const LINES: u64 = 100_000;
    // Some topics come again and again, others never did before.
    let thousand = |nth: u64| -> Vec<u8> {
        (nth * 1_000..(nth + 1) * 1_000)
            .flat_map(|n| match n % 10 {
                0 => format!("1,building.3.floor.2.session.{n}.smoke,0.01\n").into(),
                1 => format!("1,building.3.floor.2.room.{}.temperature,50\n", n % 97).into(),
                2 => b"\n".to_vec(),
                3 => b"1,building.3.\xff,1\n".to_vec(),
                4 => b"1,building 3,1\n".to_vec(),
                9 => b"the line to wait for\n".to_vec(),
                _ => format!("1,building.{}.roof.wind,7\n", n % 13).into(),
            })
            .collect()
    };
    let mut sensors = start(&["-"]);
    for nth in 0..20 {
        sensors.write(thousand(nth));
    }
    sensors.wait_for_line(20_000);
    let early = sensors.peak_kib();
    for nth in 20..LINES / 1_000 {
        sensors.write(thousand(nth));
    }
    sensors.wait_for_line(LINES);
    let late = sensors.peak_kib();

    let ended = sensors.close();
    let each = LINES / 10;
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.count("lines read"), LINES);
    assert_eq!(fates(&ended), [6 * each, 3 * each, each]);
    assert_eq!(ended.stderr.lines().count() as u64, 3 * each, "a line for each that is malformed");
    assert_eq!(heard(&ended, "building.*.roof.*")[0], (4 * each).to_string());
    assert_eq!(heard(&ended, "building.*.floor.2.**")[0], (2 * each).to_string());
    assert_eq!(heard(&ended, "alarm.*")[0], each.to_string());
    assert_eq!(heard(&ended, "**")[0], (7 * each).to_string());
    assert_grew_little(early, late);
}

fn start(arguments: &[&str]) -> Example {
    Example::start("sensors", arguments)
}

fn read(lines: &str) -> Ended {
    let mut sensors = start(&["-"]);
    sensors.write(lines);
    sensors.close()
}

/// What became of the lines, which adds up to all of them.
fn fates(ended: &Ended) -> Fates {
    let fates = ["  readings", "  malformed", "  blank or header"].map(|label| ended.count(label));
    assert_eq!(fates.iter().sum::<u64>(), ended.count("lines read"), "{}", ended.stdout);
    assert_eq!(ended.count("  unaccounted for"), 0);
    fates
}

/// The figures in this pattern's row: how often, and if ever, the lowest, the mean and the highest.
fn heard<'a>(ended: &'a Ended, pattern: &str) -> Vec<&'a str> {
    let figures = |row: &'a str| row.split_once(&format!(" {pattern} ")).map(|(_, figures)| figures);
    let rows: Vec<_> = ended.stdout.lines().filter_map(figures).collect();
    let [row] = rows[..] else { panic!("{pattern} has {} rows in\n{}", rows.len(), ended.stdout) };
    row.split_whitespace().collect()
}

/// That these lines were told, in this order and no others, each with a text that begins so.
#[track_caller]
fn assert_told(ended: &Ended, expected: &[(u64, &str)]) {
    let told: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(told.len(), expected.len(), "{}", ended.stderr);
    for (told, (line, text)) in told.into_iter().zip(expected) {
        assert!(told.starts_with(&format!("line {line}: {text}")), "{told}");
        assert!(!told.contains(char::is_control), "{told}");
    }
}
