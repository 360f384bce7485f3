//! The example `order_flow`, run as a program: what it prints, what it exits with, how much memory it takes.
//!
//! There is no terminal in these tests, so they say nothing of the progress bar but that it shows nowhere else.

#![cfg(not(miri))] // which starts no processes

#[path = "common/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use process::{Ended, Example, assert_grew_little};

const FATES: [&str; 8] = [
    "shipped",
    "out of stock",
    "card declined",
    "unknown product",
    "malformed",
    "not UTF-8",
    "blank",
    "unaccounted for",
];
const LONGEST: usize = 64 * 1024;
const CARD: &str = "4929000000000006";
const EMAIL: &str = "ada@example.org";

#[test]
fn the_orders_beside_the_example_meet_every_fate_and_every_line_is_accounted_for() {
    let ended = Shop::open(&[]).close();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.fates(), [19, 5, 4, 2, 7, 1, 2, 0]);
    assert_eq!(ended.count("lines read"), 40);
    assert_eq!(ended.count("mail sent"), 19 + 5 + 4 - 2);
    assert_eq!(ended.count("panics in notification"), 2);
    assert_eq!(ended.stdout.lines().last(), Some("panics in notification             2"), "the table comes last");
}

#[test]
fn every_failure_is_told_once_with_the_number_of_its_line_and_the_name_and_place_of_its_listener() {
    let ended = Shop::open(&[]).close();
    let told: Vec<_> = ended.stderr.lines().map(report).collect();
    let intake = |line| (line, "intake", "failed");
    let expected = [
        (7, "inventory", "failed"),
        (10, "notification", "panicked"),
        (12, "billing", "failed"),
        intake(15),
        intake(16),
        intake(17),
        intake(18),
        intake(19),
        intake(20),
        intake(21),
        intake(22),
        (27, "billing", "failed"),
        (31, "inventory", "failed"),
        (33, "billing", "failed"),
        (35, "notification", "panicked"),
        (35, "billing", "failed"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_flaky_provider_is_asked_again_and_what_nobody_paid_for_is_listed_and_accounted_for() {
    let flaky = |arguments: &[&str]| Shop::open(arguments).close();
    let ended = flaky(&["--flaky", "0.9", "--seed", "1"]);
    assert_eq!(ended.status, Some(0));
    let (summary, letters) = ended.stdout.split_once("\ndead letters: orders").expect("a list");
    let pending = ended.count("payment pending");
    let steady = Shop::open(&[]).close();
    let fates = FATES.map(|label| ended.count(label));
    assert_eq!(fates.iter().sum::<u64>() + pending, ended.count("lines read"), "{summary}");
    let paid_or_not = |ended: &Ended| ended.count("shipped") + ended.count("card declined");
    assert_eq!(paid_or_not(&ended) + pending, paid_or_not(&steady), "whoever was to be asked for money");
    assert!(pending > 0 && ended.count("shipped") > 0 && ended.count("unaccounted for") == 0, "{summary}");

    let letters: Vec<_> = letters.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(letters.len() as u64, pending);
    for letter in &letters {
        let [order, attempts, "order", again, rest @ ..] = &letter[..] else { panic!("{letter:?}") };
        assert_eq!((*attempts, *again), ("4", &*format!("{order}:")));
        assert_eq!(rest.join(" "), "the payment provider is out of order");
    }
    let told = ended.stderr.lines().filter(|line| line.ends_with("the payment provider is out of order"));
    let told: Vec<_> = told.map(|line| line.starts_with("afterwards: listener \"billing\" (")).collect();
    assert_eq!(told, vec![true; letters.len()], "each once, by its last attempt");

    let again = flaky(&["--seed", "1", "--flaky", "0.9"]);
    assert_eq!((again.stdout, again.stderr), (ended.stdout.clone(), ended.stderr), "the same seed, the same outages");
    assert_eq!(flaky(&["--flaky", "0.9"]).stdout, ended.stdout, "a seed that is not given is always the same");
    assert_ne!(flaky(&["--flaky", "0.9", "--seed", "2"]).stdout, ended.stdout);
}

#[test]
fn a_provider_that_always_answers_changes_nothing_and_one_that_never_does_leaves_every_payment_pending() {
    let steady = Shop::open(&[]).close();
    let never_out = Shop::open(&["--flaky", "0"]).close();
    assert_eq!(never_out.stderr, steady.stderr);
    let list = never_out.stdout.strip_prefix(&*steady.stdout).expect("the same summary first");
    assert_eq!(list.lines().count(), 2, "an empty line and an empty list: {list}");
    let always_out = Shop::open(&["--flaky", "1", "--topology"]).close();
    assert_eq!((always_out.count("payment pending"), always_out.count("shipped")), (23, 0));
    assert!(always_out.stdout.contains("retried 69, 23 dead letters"), "{}", always_out.stdout);
}

#[test]
fn a_dash_reads_stdin_and_a_path_reads_a_file() {
    let lines = [order("mug", 1), order("no such thing", 1)].concat();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("two_orders.jsonl");
    fs::write(&file, &lines).expect("a file in the tests' own directory");

    let mut piped = Shop::open(&["-"]);
    piped.write(&lines);
    for ended in [piped.close(), Shop::open(&[file.to_str().expect("a plain path")]).close()] {
        assert_eq!(ended.status, Some(0));
        assert_eq!(ended.fates(), [1, 0, 0, 1, 0, 0, 0, 0]);
    }
}

#[test]
fn an_input_or_an_option_that_cant_be_read_ends_with_status_2_and_one_line_that_says_so() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (arguments, says) in [
        (&["no/such/file.jsonl"][..], "can't read no/such/file.jsonl: "),
        (&["no\nsuch\nfile"], "can't read no\\nsuch\\nfile: "),
        (&[directory], directory),
        (&["-", "-"], "too many arguments"),
        (&["-", "--topology"], "too many arguments"),
        (&["--topology=svg"], "can't read --topology=svg: "),
        (&["--flaky", "1.5"], "--flaky takes a rate from 0 to 1, not \"1.5\""),
        (&["--flaky", "NaN"], "--flaky takes a rate from 0 to 1, not \"NaN\""),
        (&["--flaky"], "--flaky takes a rate from 0 to 1, not nothing"),
        (&["--flaky", "1", "--seed", "-1"], "--seed takes a whole number, not \"-1\""),
        (&["--seed", "7"], "--seed is for --flaky"),
    ] {
        let ended = Shop::open(arguments).close();
        assert_eq!(ended.status, Some(2), "{arguments:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.starts_with("order_flow: ") && ended.stderr.contains(says), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn an_empty_input_has_an_empty_summary() {
    let ended = Shop::open(&["-"]).close();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.fates(), [0; 8]);
    assert_eq!(ended.count("lines read"), 0);
}

#[test]
fn lines_may_end_as_on_windows_and_the_last_one_with_the_file() {
    let mut shop = Shop::open(&["-"]);
    shop.write(order("mug", 1).replace('\n', "\r\n"));
    shop.write("\r\n");
    shop.write(order("mug", 1).trim_end());
    assert_eq!(shop.close().fates(), [2, 0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn a_line_over_the_limit_is_told_as_malformed_and_the_rest_goes_on() {
    let order = order("mug", 1);
    let padded = |length: usize| order.trim_end().to_owned() + &" ".repeat(length + 1 - order.len()) + "\n";
    let mut shop = Shop::open(&["-"]);
    shop.write(padded(LONGEST));
    shop.write(padded(LONGEST + 1));
    shop.write(&order);
    shop.write(padded(3 * LONGEST).trim_end_matches('\n'));

    let ended = shop.close();
    assert_eq!(ended.fates(), [2, 0, 0, 0, 2, 0, 0, 0]);
    let told: Vec<_> =
        ended.stderr.lines().map(|line| (report(line).0, line.ends_with("longer than 65536 bytes"))).collect();
    assert_eq!(told, [(2, true), (4, true)]);
}

#[test]
fn only_an_object_with_the_right_fields_is_an_order() {
    let order = order("mug", 1);
    let mut lines: Vec<_> = [
        (r#""quantity":1"#, r#""quantity":0"#),
        (r#""quantity":1"#, r#""quantity":-1"#),
        (r#""quantity":1"#, r#""quantity":1.5"#),
        (r#""quantity":1"#, r#""quantity":"1""#),
        (r#""quantity":1"#, r#""quantity":null"#),
        (r#""quantity":1"#, r#""quantity":"#),
        (r#""quantity":1,"#, ""),
        (r#""quantity":1"#, r#""quantity":1,"quantity":2"#),
        (r#""quantity":1"#, r#""quantity":1,"colour":"red""#),
        ("}", "} {}"),
        ("}", ""),
    ]
    .map(|(right, wrong)| order.replace(right, wrong))
    .to_vec();
    lines.extend(
        [r#"[1,"mug",1,"4929000000000006","ada@example.org"]"#, "null", "42", "\0", "{}"]
            .map(|line| format!("{line}\n")),
    );
    let malformed = lines.len() as u64;

    let mut shop = Shop::open(&["-"]);
    shop.write(lines.concat());
    shop.write(&order);
    assert_eq!(shop.close().fates(), [1, 0, 0, 0, malformed, 0, 0, 0]);
}

#[test]
fn bytes_that_are_not_utf_8_are_told_with_their_line_and_the_rest_goes_on() {
    let mut shop = Shop::open(&["-"]);
    shop.write(order("mug", 1));
    let latin_1: Vec<_> = order("m?g", 1).bytes().map(|byte| if byte == b'?' { 0xf6 } else { byte }).collect();
    shop.write(latin_1);
    shop.write(order("mug", 1));
    let ended = shop.close();
    assert_eq!(ended.fates(), [2, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(ended.stderr.lines().map(report).collect::<Vec<_>>(), [(2, "intake", "failed")]);
}

#[test]
fn an_order_whose_notification_panics_is_shipped_all_the_same() {
    let mut shop = Shop::open(&["-"]);
    shop.write(order_of("mug", 1, CARD, "no address"));
    shop.write(order("mug", 1));
    let ended = shop.close();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.fates(), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((ended.count("mail sent"), ended.count("panics in notification")), (1, 1));
    assert_eq!(ended.stderr.lines().map(report).collect::<Vec<_>>(), [(1, "notification", "panicked")]);
}

#[test]
fn a_declined_order_puts_its_goods_back() {
    let mut shop = Shop::open(&["-"]);
    shop.write(order_of("teapot", 3, "a stolen card", EMAIL));
    shop.write(order("teapot", 3));
    shop.write(order("teapot", 1));
    assert_eq!(shop.close().fates(), [1, 1, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn outside_text_can_neither_break_a_report_nor_command_the_terminal() {
    let mut shop = Shop::open(&["-"]);
    shop.write(order(r"\u001b[2J\nline 7: forged", 1));
    shop.write(order_of("mug", 1, CARD, EMAIL).replace("card", r"\u001b[2J\nline 7: forged"));
    let ended = shop.close();
    assert_eq!(
        ended.stderr.lines().map(report).collect::<Vec<_>>(),
        [(1, "inventory", "failed"), (2, "intake", "failed")]
    );
    assert!(!ended.stderr.contains('\u{1b}'));
}

#[test]
fn a_reader_that_leaves_before_the_summary_is_no_failure() {
    let mut shop = Shop::open(&["-"]);
    shop.close_stdout();
    shop.write(order("mug", 1));
    let ended = shop.close();
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
}

#[test]
fn a_hundred_thousand_lines_are_all_accounted_for_in_constant_memory() {
    const LINES: u64 = 100_000;
    let kinds: [Vec<u8>; 10] = [
        order_of("mug", 1, "no card", EMAIL).into(),
        order("unknown", 1).into(),
        "not an order\n".into(),
        b"{\xff}\n".into(),
        "\n".into(),
        order_of("mug", 1, CARD, "no address").into(),
        order("teapot", 1).into(),
        order("plate", 2).into(),
        order("mug", 1).into(),
        "the line to wait for\n".into(),
    ];
    let a_thousand = kinds.concat().repeat(100);

    let mut shop = Shop::open(&["-"]);
    shop.write(&a_thousand);
    shop.wait_for_line(1_000);
    let early = shop.peak_kib();
    for _ in 1..LINES / 1_000 {
        shop.write(&a_thousand);
    }
    shop.wait_for_line(LINES);
    let late = shop.peak_kib();

    let ended = shop.close();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.count("lines read"), LINES);
    let each = LINES / 10;
    assert_eq!(ended.fates(), [3 * each + 3, each - 3, each, each, 2 * each, each, each, 0]);
    assert_eq!(ended.count("panics in notification"), each);
    assert_eq!(ended.stderr.lines().count() as u64, 6 * each, "a line for each failure");
    assert!(ended.stdout.lines().count() < 40, "and none of them on stdout:\n{}", ended.stdout);
    assert_grew_little(early, late);
}

#[test]
fn a_line_that_never_ends_takes_constant_memory() {
    let mut shop = Shop::open(&["-"]);
    shop.write("x".repeat(2 * LONGEST) + "\n");
    shop.wait_for_line(1);
    let early = shop.peak_kib();
    let a_mebibyte = "x".repeat(1 << 20);
    for _ in 0..32 {
        shop.write(&a_mebibyte);
    }
    shop.write("\n");
    shop.wait_for_line(2);
    let late = shop.peak_kib();
    assert_eq!(shop.close().fates(), [0, 0, 0, 0, 2, 0, 0, 0]);
    assert_grew_little(early, late);
}

#[test]
fn the_topology_comes_behind_the_summary_and_adds_up_with_it() {
    let plain = Shop::open(&[]).close();
    let ended = Shop::open(&["--topology"]).close();
    assert_eq!(ended.status, Some(0));
    let topology = ended.stdout.strip_prefix(&*plain.stdout).expect("the same summary first");
    let columns = |row: &str| {
        let line = topology.lines().find(|line| line.trim_start().starts_with(row)).unwrap_or_else(|| panic!("{row}"));
        let numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(columns("emitted at examples/order_flow/input.rs:"), [ended.count("lines read"), 0]);
    assert_eq!(columns("emitted at examples/order_flow/notification.rs:"), [ended.count("mail sent"), 0]);
    assert_eq!(columns("heard by \"intake\""), [ended.count("lines read"), ended.count("malformed") + 1]);
    assert!(topology.contains("heard by nobody: none"), "{topology}");

    let mut one = Shop::open(&["--topology", "-"]);
    one.write(order("mug", 1));
    let one = one.close().stdout;
    assert!(one.contains("never called:\n") && one.contains("for order_flow::events::PaymentDeclined\n"), "{one}");
}

#[test]
fn the_guide_shows_what_the_commands_in_it_print() {
    let guide = source("docs/seeing.md");
    let block = |fence: &str| {
        let (_, block) = guide.split_once(fence).expect("the block");
        block.split_once("\n```").expect("its end").0
    };
    let ended = |argument| Shop::open(&[argument]).close().stdout;
    let table = ended("--topology");
    let (_, table) = table.split_once("\n\nevent  ").expect("the table");
    let hint = "what docs/seeing.md shows is out of date: paste what the command above it prints";
    assert_eq!(without_times(block("```text\nevent  ")), without_times(table), "{hint}");
    assert_eq!(block("```mermaid\n"), ended("--topology=mermaid").trim_end(), "{hint}");
}

#[test]
fn the_guides_picture_shows_the_nodes_the_arrows_and_the_words_of_the_graph() {
    let graph = Shop::open(&["--topology=dot"]).close().stdout;
    let ids =
        graph.lines().filter_map(|line| line.split_once(" [label=").map(|(id, _)| id.trim().replace(" -> ", "->")));
    let labels = graph.lines().filter_map(|line| line.split_once("[label=\"")?.1.rsplit_once("\", s"));
    let words = labels.flat_map(|(label, _)| label.split("\\n")).filter(|words| !words.is_empty());
    let words = words.map(|words| words.split("\", shape").next().unwrap_or(words).replace("\\\"", "\""));

    let picture = source("docs/order_flow.svg");
    let between = |start: &'static str, end: &'static str| {
        let found = picture.lines().filter_map(move |line| line.strip_prefix(start)?.strip_suffix(end));
        let found = found.map(|text| text.rsplit_once("\">").map_or(text, |(_, text)| text));
        let entities = [("&quot;", "\""), ("&#45;", "-"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        found.map(move |text| entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c)))
    };
    let hint = "what docs/order_flow.svg shows is out of date: draw it anew with \
                `cargo run --example order_flow -- --topology=dot | dot -Tsvg`, from `<svg` on";
    assert_eq!(sorted(between("<title>", "</title>").filter(|title| title != "bus")), sorted(ids), "{hint}");
    assert_eq!(sorted(between("<text", "</text>")), sorted(words), "{hint}");
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort_unstable();
    texts
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the project")
}

/// The words of every line, but how long anything took, which is different every time.
fn without_times(table: &str) -> Vec<Vec<&str>> {
    let is_time = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s');
    table.trim_end().lines().map(|line| line.split_whitespace().filter(|word| !is_time(word)).collect()).collect()
}

#[test]
fn the_modules_know_the_events_and_nothing_of_one_another() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/order_flow");
    for module in ["intake", "inventory", "billing", "notification", "audit", "report", "input"] {
        let source = fs::read_to_string(sources.join(module).with_extension("rs")).expect("the module's file");
        // Its own tests are at its end, and know the module and what tests share.
        let (source, _) = source.split_once("#[cfg(test)]").expect("a module has tests");
        let known: BTreeSet<_> = source
            .split("crate::")
            .skip(1)
            .filter_map(|path| path.split(|c: char| !c.is_alphanumeric() && c != '_').next())
            .collect();
        assert!(known.is_subset(&BTreeSet::from(["events"])), "{module} knows {known:?}");
        assert!(!source.contains("super::"), "{module}");
    }
}

/// The example.
struct Shop;

impl Shop {
    fn open(arguments: &[&str]) -> Example {
        Example::start("order_flow", arguments)
    }
}

impl Ended {
    /// What became of the lines, which adds up to all of them.
    fn fates(&self) -> [u64; FATES.len()] {
        let fates = FATES.map(|label| self.count(label));
        assert_eq!(fates.iter().sum::<u64>(), self.count("lines read"), "{}", self.stdout);
        fates
    }
}

/// The parts of `line 7: listener "billing" (examples/order_flow/billing.rs:15) failed on …`.
fn report(line: &str) -> (u64, &str, &str) {
    let parts = || {
        let (number, rest) = line.strip_prefix("line ")?.split_once(": listener \"")?;
        let (name, rest) = rest.split_once("\" (")?;
        let (place, rest) = rest.split_once(") ")?;
        let (file, _) = place.rsplit_once(':')?;
        let verb = rest.split(' ').next()?;
        Path::new(file).ends_with(format!("order_flow/{name}.rs")).then_some((number.parse().ok()?, name, verb))
    };
    parts().unwrap_or_else(|| panic!("not a failure with line, name and place: {line}"))
}

fn order(product: &str, quantity: u32) -> String {
    order_of(product, quantity, CARD, EMAIL)
}

fn order_of(product: &str, quantity: u32, card: &str, email: &str) -> String {
    format!(r#"{{"id":1,"product":"{product}","quantity":{quantity},"card":"{card}","email":"{email}"}}"#) + "\n"
}
