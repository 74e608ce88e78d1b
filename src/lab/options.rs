//! What the user says after `chat net`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// How many nodes are started at a time: each is a process.
const NODES_MAX: i64 = 1024;

const EXAMPLES: &str = "\
Examples:
  chat net boot 8                  a ring of 8 nodes
  chat net storemany 100 > words   100 words, through random nodes
  chat net lookup \"$(head -1 words)\"
  chat net ps
  chat net monitor                 all nodes on the whole screen, as they are now
  chat net kill n3                 as if its machine had lost power
  chat net killall
  chat net boot 8 --hosts FILE     the same on the machines in a file, by ssh

A node is named as ps names it, as n3.
Exit status: 0 done, 1 it could not be done, for the reason on standard error, 2 wrong usage.";

/// Start a network of many nodes, and look into it.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "chat net", bin_name = "chat net", version, after_help = EXAMPLES)]
pub struct Options {
    /// The directory of the network; without it, `net.d` in the program's directory for data.
    #[arg(long, value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Start a ring of so many nodes on free ports, and wait until it is one.
    Boot {
        /// How many.
        #[arg(value_name = "COUNT", default_value_t = 2, value_parser = count())]
        count: i64,
        /// On which machines.
        #[command(flatten)]
        on: On,
    },
    /// Start one more node, which joins the ring through one that runs.
    Add,
    /// Start so many more nodes, each of which joins through one that runs.
    Addmany {
        /// How many.
        #[arg(value_name = "COUNT", value_parser = count())]
        count: i64,
        /// On which machines.
        #[command(flatten)]
        on: On,
    },
    /// List the nodes.
    Ps,
    /// Show what a node knows: its neighbours, fingers, records and connections.
    Nodeinfo {
        /// Which node.
        node: String,
    },
    /// Show what a node has told.
    Logs {
        /// Which node.
        node: String,
        /// Go on as it tells more.
        #[arg(short, long)]
        follow: bool,
    },
    /// Show all nodes on the whole screen, as they are now, until q is pressed.
    Monitor {
        /// Print one table as text and end, after two looks that are a second apart.
        #[arg(long)]
        once: bool,
        /// Print one JSON object per line: one for each look, or with --once one alone.
        #[arg(long)]
        json: bool,
    },
    /// Find the node that is responsible for a key, and show the way there, hop by hop.
    Find {
        /// The key.
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// Go successor by successor, and not by fingers.
        #[arg(long)]
        linear: bool,
    },
    /// Keep a value under itself as the key.
    Store {
        /// The value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Keep a value under a key.
    Put {
        /// The key.
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// The value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Store so many random words, and print each once it is kept.
    Storemany {
        /// How many.
        #[arg(value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..=100_000))]
        count: i64,
    },
    /// Read what was stored.
    Lookup {
        /// The value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Read the value under a key.
    Get {
        /// The key.
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// Also tell on standard error which node has answered, and the way there, hop by hop.
        #[arg(long)]
        path: bool,
    },
    /// Delete the value under a key.
    #[command(alias = "del")]
    Delete {
        /// The key.
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// Put every line of a file, which is a key, a blank and a value, and read each back through another node.
    Load {
        /// The file.
        file: PathBuf,
    },
    /// Ask a node to hand over what it keeps, and to end.
    Leave {
        /// Which node.
        node: String,
    },
    /// End a node at once, without handing anything over.
    Kill {
        /// Which node.
        node: String,
    },
    /// End all nodes of this network at once.
    Killall,
    /// Look after the nodes on this machine for a network on another one, which asks on standard input.
    #[command(hide = true)]
    Hosted,
}

/// On which machines nodes are started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct On {
    /// Start them on the machines in a file, one after the other, and not on this one alone.
    ///
    /// Each of its lines is a host as ssh knows it, a blank, and the IP address at which its nodes listen and all
    /// others reach them; a dot for the host is this machine, and what follows a # is for people.
    /// The program is copied there, and what is added later is started there as well.
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,

    /// The command for ssh, with what it is to be told, as \"ssh -F FILE\"; it must not need a password.
    #[arg(long, value_name = "COMMAND", default_value = "ssh", requires = "hosts")]
    pub ssh: String,
}

impl Command {
    /// The only node that it concerns, if there is one.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Command::Nodeinfo { node }
            | Command::Logs { node, .. }
            | Command::Leave { node }
            | Command::Kill { node } => Some(node),
            _ => None,
        }
    }
}

fn count() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(1..=NODES_MAX)
}

impl Options {
    /// The options of this process, whose first argument is `net`.
    ///
    /// Where they are wrong it tells what is wrong and ends the process with status 2.
    pub fn of_process() -> Options {
        Options::parse_from(std::env::args_os().skip(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Command, clap::Error> {
        Options::try_parse_from(format!("net {arguments}").split_whitespace()).map(|options| options.command)
    }

    #[test]
    fn a_ring_has_two_nodes_unless_the_user_says_how_many() {
        let booted = |arguments: &str| match parse(arguments).unwrap() {
            Command::Boot { count, on } => (count, on.hosts, on.ssh),
            other => panic!("{other:?}"),
        };
        assert_eq!(booted("boot"), (2, None, "ssh".to_owned()));
        assert_eq!(booted("boot 64 --hosts f"), (64, Some("f".into()), "ssh".to_owned()));
        assert!(
            parse("boot --ssh x").is_err()
                && parse("boot 0").is_err()
                && parse("boot 1025").is_err()
                && parse("addmany").is_err()
        );
    }

    #[test]
    fn a_key_and_a_value_may_begin_with_a_hyphen() {
        let key = |key: &str| key.to_owned();
        assert_eq!(parse("store -5").unwrap(), Command::Store { value: key("-5") });
        assert_eq!(parse("put k -5").unwrap(), Command::Put { key: key("k"), value: key("-5") });
        assert_eq!(parse("put -k -- --dir").unwrap(), Command::Put { key: key("-k"), value: key("--dir") });
        assert_eq!(parse("get -5").unwrap(), Command::Get { key: key("-5"), path: false });
        assert_eq!(parse("get --path -5").unwrap(), Command::Get { key: key("-5"), path: true });
        assert_eq!(parse("get k --path").unwrap(), Command::Get { key: key("k"), path: true });
        assert_eq!(parse("del -5").unwrap(), Command::Delete { key: key("-5") });
        assert_eq!(parse("find -5 --linear").unwrap(), Command::Find { key: key("-5"), linear: true });
    }
}
