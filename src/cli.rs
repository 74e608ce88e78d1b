//! What the user says on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::chat::history::{HISTORY, HISTORY_MAX};
use crate::net::{NETWORK, NETWORK_BYTES_MAX};
use crate::records::name::Nick;

const EXAMPLES: &str = "\
Examples:
  The first node begins a ring, and every other one joins it through a node that is there:
    chat --nick alice --addr 192.0.2.1:7000
    chat --nick bob --addr 192.0.2.2:7000 --bootstrap 192.0.2.1:7000

  On one machine:
    chat --nick alice --addr 127.0.0.1:7000
    chat --nick bob --addr 127.0.0.1:0 --bootstrap localhost:7000

  On all interfaces, with the address that the others see:
    chat --nick carol --addr 0.0.0.0:7000 --advertise 192.0.2.3:7000 --bootstrap chat.example:7000

  For a program, which reads one JSON object per line:
    chat --nick bot --addr 127.0.0.1:0 --bootstrap localhost:7000 --json

  As a service, which keeps what others say and write, and leaves in good order at SIGTERM:
    chat --nick keeper --addr 192.0.2.4:7000 --bootstrap 192.0.2.1:7000 --headless --http 127.0.0.1:8080

  Several services that are started together, each with the name that stands for all of them:
    chat --headless --addr 0.0.0.0:7000 --bootstrap keepers.example:7000 --or-begin

  Whether such a service is well, by its HTTP:
    chat health 127.0.0.1:8080

  A ring of many nodes on this machine, to look into and to break:
    chat net --help

  Many people in one process, under faults, to see what is kept:
    chat sim --help

In the chat, help shows the commands; exit, Ctrl-C or Ctrl-D leaves.
Exit status: 0 left in good order, 1 a failure told on standard error, 2 wrong usage.
NO_COLOR=1 in the environment turns colours off.";

/// Chat without a server: every running chat is a node of a Chord ring.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "chat", version, after_help = EXAMPLES)]
pub struct Options {
    /// The name by which others know you; a node with --headless has that of its host unless you say another.
    #[arg(long, value_name = "NAME", value_parser = nick, required_unless_present = "headless")]
    pub nick: Option<Nick>,

    /// The address of this node; port 0 takes a free port.
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    pub addr: SocketAddr,

    /// A node of the ring to join; may be given several times, and the first that answers is taken.
    ///
    /// Without it, the nodes are tried that this one knew before its restart; if there are none, or none
    /// answers, the node begins a ring.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub bootstrap: Vec<String>,

    /// Begin a ring where nobody answers at --bootstrap, and go on looking there for others.
    ///
    /// For nodes that are started together, each with a name that stands for all of them: whichever of them begin
    /// a ring, it is one ring soon.
    #[arg(long, requires = "bootstrap")]
    pub or_begin: bool,

    /// The address under which others reach this node, where that is not the address of --addr.
    ///
    /// Port 0 stands for the port of --addr.
    /// Where --addr means every address of this machine, it is the one from which --bootstrap is reached, unless
    /// you say another.
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    pub advertise: Option<SocketAddr>,

    /// The name of the network: nodes of different networks do not talk to each other.
    #[arg(long, value_name = "NAME", default_value = NETWORK, value_parser = network)]
    pub network: String,

    /// How many earlier messages are shown when you join a channel.
    #[arg(long, value_name = "COUNT", default_value_t = HISTORY, value_parser = history)]
    pub history: usize,

    /// The directory in which this node keeps what it must not forget.
    ///
    /// Without it, that is a directory for each nick and network below the platform's directory for data.
    /// Whoever starts with it is the same person, whatever their nick, and gets the mail of that person.
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral")]
    pub data_dir: Option<PathBuf>,

    /// Keep nothing on the disk: what is on no other node is lost when this one ends.
    #[arg(long)]
    pub ephemeral: bool,

    /// Serve the node over HTTP at this address, for programs and browsers; port 0 takes a free port.
    ///
    /// What changes something needs a token, which is told on standard error at the start.
    /// Reading is free to everyone who can reach the address: stay with 127.0.0.1 if in doubt.
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    pub http: Option<SocketAddr>,

    /// The file with the token of --http, instead of a new one at each start; it is made if it is not there.
    #[arg(long, value_name = "FILE", requires = "http")]
    pub http_token_file: Option<PathBuf>,

    /// Read nothing from standard input: go on until SIGTERM or Ctrl-C, as a service does.
    #[arg(long)]
    pub headless: bool,

    /// Write one JSON object per line to standard output, as docs/json.md describes.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The options of this process.
    ///
    /// Where they are wrong it tells what is wrong and ends the process with status 2.
    pub fn of_process() -> Options {
        Options::try_from_arguments(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// The options in `arguments`, the first of which is the name of the program.
    pub fn try_from_arguments<T>(arguments: impl IntoIterator<Item = T>) -> Result<Options, clap::Error>
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        let options = Options::try_parse_from(arguments)?;
        let wrong = |message: String| Err(Options::command().error(ErrorKind::ValueValidation, message));
        match options.advertise {
            Some(address) if address.ip().is_unspecified() => {
                wrong(format!("nobody can reach {address}: --advertise needs the address that others see"))
            }
            None if options.addr.ip().is_unspecified() && options.bootstrap.is_empty() => wrong(format!(
                "{} means every address of this machine: say with --advertise IP:PORT which one others reach",
                options.addr.ip()
            )),
            _ => Ok(options),
        }
    }

    /// The address that others are told, when this node listens at `bound`; where that is every address of this
    /// machine, it is not yet known which.
    pub fn advertised(&self, bound: SocketAddr) -> SocketAddr {
        match self.advertise {
            Some(address) if address.port() == 0 => SocketAddr::new(address.ip(), bound.port()),
            Some(address) => address,
            None => bound,
        }
    }
}

fn nick(text: &str) -> Result<Nick, String> {
    text.parse().map_err(|rule| format!("{rule}"))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address is IP:PORT, as 127.0.0.1:7000 or [::1]:7000".to_owned())
}

fn host_and_port(text: &str) -> Result<String, String> {
    let rule = || "a node is HOST:PORT, as 192.0.2.1:7000, [::1]:7000 or chat.example:7000".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(rule)?;
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    match port.parse::<u16>() {
        Ok(port) if 0 < port && !host.is_empty() && !bare_ipv6 => Ok(text.to_owned()),
        _ => Err(rule()),
    }
}

fn history(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= HISTORY_MAX => Ok(count),
        _ => Err(format!("a count is a number from 0 to {HISTORY_MAX}")),
    }
}

fn network(text: &str) -> Result<String, String> {
    let printable = text.chars().all(|char| !char.is_control() && !char.is_whitespace());
    match text.len() {
        1..=NETWORK_BYTES_MAX if printable => Ok(text.to_owned()),
        _ => Err(format!("a network has a name of 1 to {NETWORK_BYTES_MAX} bytes without blanks")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_from_arguments(format!("chat {arguments}").split_whitespace().map(str::to_owned))
    }

    fn refused(arguments: &str) -> String {
        let error = parse(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments}");
        error.to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn options_are_read() {
        let options = parse(
            "--nick alice --addr 127.0.0.1:7000 --bootstrap localhost:7001 --bootstrap [::1]:7002 --json",
        )
        .unwrap();
        assert_eq!(options.nick.as_ref().map(Nick::as_str), Some("alice"));
        assert_eq!(options.bootstrap, ["localhost:7001", "[::1]:7002"]);
        assert_eq!((options.network.as_str(), options.json, options.advertise), (NETWORK, true, None));
    }

    #[test]
    fn wrong_options_are_refused_with_the_rule() {
        let with = |rest: &str| refused(&format!("--nick alice --addr 127.0.0.1:0 {rest}"));
        assert!(refused("--addr 127.0.0.1:0").contains("--nick"));
        assert!(refused("--nick alice").contains("--addr"));
        assert!(refused("--nick #alice --addr 127.0.0.1:0").contains("does not begin with #"));
        let long = "a".repeat(33);
        assert!(refused(&format!("--nick {long} --addr 127.0.0.1:0")).contains("at most 32 characters"));
        assert!(refused("--nick alice --addr localhost").contains("IP:PORT"));
        for node in ["localhost", "localhost:", "localhost:0", ":7000", "::1:7000", "a:70000"] {
            assert!(with(&format!("--bootstrap {node}")).contains("HOST:PORT"), "{node}");
        }
        assert!(with(&format!("--network {}", "x".repeat(65))).contains("64 bytes"));
    }

    #[test]
    fn an_address_that_nobody_can_reach_is_not_advertised() {
        assert!(refused("--nick alice --addr 0.0.0.0:7000").contains("--advertise"));
        assert!(refused("--nick alice --addr [::]:7000").contains("--advertise"));
        assert!(refused("--nick alice --addr 127.0.0.1:1 --advertise 0.0.0.0:7").contains("--advertise"));
        assert!(parse("--nick alice --addr 0.0.0.0:7000 --advertise 192.0.2.1:7000").is_ok());
    }

    #[test]
    fn where_a_ring_is_looked_for_needs_to_be_said() {
        assert!(refused("--nick alice --addr 127.0.0.1:1 --or-begin").contains("--bootstrap"));
        assert!(parse("--nick alice --addr 0.0.0.0:7000 --bootstrap chat.example:7000 --or-begin").is_ok());
    }

    #[test]
    fn a_node_that_nobody_sits_at_needs_no_name() {
        assert_eq!(parse("--addr 127.0.0.1:0 --headless").unwrap().nick, None);
    }

    #[test]
    fn the_port_that_was_found_is_advertised() {
        let bound = "127.0.0.1:4321".parse().unwrap();
        let advertised = |options: &str| parse(&format!("--nick a {options}")).unwrap().advertised(bound);
        assert_eq!(advertised("--addr 127.0.0.1:0"), bound);
        assert_eq!(
            advertised("--addr 127.0.0.1:0 --advertise 192.0.2.1:0"),
            "192.0.2.1:4321".parse().unwrap()
        );
        assert_eq!(advertised("--addr 127.0.0.1:0 --advertise 192.0.2.1:7"), "192.0.2.1:7".parse().unwrap());
    }
}
