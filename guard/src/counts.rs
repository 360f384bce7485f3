//! Instructions and allocations of the hot paths. Valgrind runs the program on a processor of its own making, so it
//! counts the same instructions however busy the machine is.

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use allocation_counter::measure;

use crate::cases::Case;
use crate::table::{Count, Table};

/// Each case in a process of its own, so that none finds the heap as another left it.
pub(crate) fn all() -> Result<Table, Box<dyn Error>> {
    let (program, profiles) = (env::current_exe()?, profiles()?);
    fs::create_dir_all(&profiles)?;
    println!("counting the instructions of {} cases", Case::ALL.len());
    let rows = Case::ALL.iter().map(|case| Ok((case.name.to_owned(), below_valgrind(&program, &profiles, case)?)));
    Ok(Table { made_with: made_with()?, rows: rows.collect::<Result<_, Box<dyn Error>>>()? })
}

/// Where valgrind writes down what it counted: beside the program, a file for each case.
pub(crate) fn profiles() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name("profiles"))
}

fn below_valgrind(program: &Path, profiles: &Path, case: &Case) -> Result<Count, Box<dyn Error>> {
    let profile = profiles.join(case.name);
    let mut command = valgrind();
    command.arg("--tool=callgrind").arg("--quiet");
    command.arg(format!("--toggle-collect=*{COUNTED}*"));
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    // What else is set on this machine changes nothing.
    command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let ended = command.arg(program).args(["--count", case.name]).output()?;
    let (says, complains) = (String::from_utf8(ended.stdout)?, String::from_utf8_lossy(&ended.stderr));
    if !ended.status.success() {
        return Err(format!("{}, below valgrind, ended with {}:\n{complains}", case.name, ended.status).into());
    }
    let allocations: u32 = says.trim().parse()?;
    let profile = fs::read_to_string(profile)?;
    let instructions: f64 = match profile.lines().find_map(|line| line.strip_prefix("totals: ")) {
        None | Some("0") => return Err(format!("{}: valgrind met no {COUNTED}", case.name).into()),
        Some(total) => total.trim().parse()?,
    };
    let times = f64::from(case.times);
    Ok(Count { instructions: instructions / times, allocations: f64::from(allocations) / times })
}

fn valgrind() -> Command {
    Command::new("valgrind")
}

/// What the counts hang on, beside the code.
fn made_with() -> Result<String, Box<dyn Error>> {
    let says = valgrind().arg("--version").output().map_err(|error| format!("valgrind: {error}; is it installed?"))?;
    let valgrind = String::from_utf8_lossy(&says.stdout);
    Ok(format!("{}, {}-{}, {}", env!("COMPILER"), env::consts::ARCH, env::consts::OS, valgrind.trim()))
}

/// Warms up, and then does what is counted.
pub(crate) fn count(case: &Case) {
    let mut act = (case.make)();
    (0..2).for_each(|_| act(case.times));
    println!("{}", measure(|| instructions_counted(&mut act, case.times)).count_total);
}

const COUNTED: &str = "instructions_counted";

/// Valgrind counts from where this is entered to where it is left: by its name, which has to be there.
#[inline(never)]
fn instructions_counted(act: &mut dyn FnMut(u32), times: u32) {
    act(times);
    // Or the last call would be a jump, out of this.
    black_box(times);
}
