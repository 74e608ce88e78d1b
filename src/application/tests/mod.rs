//! Tests of the layer, by an application that tells whatever happens to it.

mod leave;
mod network;
mod one_node;
mod orders;
mod table;

use super::*;
use crate::chord::Message;
use crate::sim::START;

const ECHO: Command<u8, u8> = Command::new("echo");
const ODD: Command<u8, u8> = Command::new("odd");
const LATER: Command<u8, u8> = Command::new("later");
const NOBODYS: Command<u8, u8> = Command::new("nobodys");
const LENGTH: Command<Vec<u8>, usize> = Command::new("length");
const FILL: Command<usize, Vec<u8>> = Command::new("fill");
/// Not what the other side takes it for.
const NOT_ECHO: Command<(u8, u8), (u8, u8)> = Command::new("echo");

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Probe {
    tickets: Vec<Ticket<u8>>,
    /// Whether it hands over only when it is told to.
    lingers: bool,
    alarm: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Do {
    Ask(Id, u8),
    AskNode(NodeHandle, u8),
    AskRoot(NodeHandle, Id, u8),
    AskOdd(Id, u8),
    AskNobodys(Id),
    AskWrongly(Id),
    AskLength(Id, usize),
    AskToFill(Id, usize),
    Find(Id),
    Neighbours(NodeHandle),
    AnswerLater(u8),
    RefuseLater,
    Linger,
    HandOver(NodeHandle),
    Leave,
    Wake(Time),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Joined,
    JoinFailed(NodeHandle),
    Update(Update),
    Successors(Option<NodeHandle>, Vec<NodeHandle>),
    Gone(Gone),
    Served(NodeHandle, MessageId, Option<Id>, u8),
    Replied(MessageId, Option<NodeHandle>, Result<u8, Failure>),
    Misread(Result<(u8, u8), Failure>),
    Length(Result<usize, Failure>),
    Found(MessageId, Result<NodeHandle, Failure>),
    Before(Option<NodeHandle>),
    After(Vec<NodeHandle>),
    Commands(Vec<String>),
    Pong,
    Leaving(NodeHandle),
    Left(Departure),
    Woken,
}

impl Application for Probe {
    type Command = Do;
    type Event = Told;

    fn on_command(&mut self, cx: &mut Context<Probe>, command: Do) {
        match command {
            Do::Ask(key, n) => _ = cx.request(key, ECHO, n, Probe::replied),
            Do::AskNode(node, n) => _ = cx.request_to(node, ECHO, n, Probe::replied),
            Do::AskRoot(node, key, n) => _ = cx.request_to_root(node, key, ECHO, n, Probe::replied),
            Do::AskOdd(key, n) => _ = cx.request(key, ODD, n, Probe::replied),
            Do::AskNobodys(key) => _ = cx.request(key, NOBODYS, 0, Probe::replied),
            Do::AskWrongly(key) => {
                cx.request(key, NOT_ECHO, (1, 2), |_, cx, reply| cx.emit(Told::Misread(reply.answer)));
            }
            Do::AskLength(key, bytes) => {
                let length = |_: &mut Probe, cx: &mut Context<Probe>, reply: Reply<usize>| {
                    cx.emit(Told::Length(reply.answer));
                };
                cx.request(key, LENGTH, vec![7; bytes], length);
            }
            Do::AskToFill(key, bytes) => {
                cx.request(key, FILL, bytes, |_, cx, reply| {
                    cx.emit(Told::Length(reply.answer.map(|bytes| bytes.len())));
                });
            }
            Do::Find(key) => {
                cx.find_root(key, |_, cx, reply| cx.emit(Told::Found(reply.id, reply.answer)));
            }
            Do::Neighbours(node) => Probe::ask_for_neighbours(cx, node),
            Do::AnswerLater(n) => self.tickets.drain(..).for_each(|ticket| cx.reply(ticket, n)),
            Do::RefuseLater => self.tickets.drain(..).for_each(|ticket| cx.refuse(ticket, "not today")),
            Do::Linger => self.lingers = true,
            Do::HandOver(node) => cx.handed_over(node),
            Do::Leave => cx.leave(),
            Do::Wake(at) => self.alarm = Some(at),
        }
    }

    fn on_joined(&mut self, cx: &mut Context<Probe>) {
        cx.emit(Told::Joined);
    }

    fn on_join_failed(&mut self, cx: &mut Context<Probe>, via: NodeHandle) {
        cx.emit(Told::JoinFailed(via));
    }

    fn on_update(&mut self, cx: &mut Context<Probe>, update: Update) {
        cx.emit(Told::Update(update));
    }

    fn on_successors_changed(&mut self, cx: &mut Context<Probe>, before: Option<NodeHandle>) {
        cx.emit(Told::Successors(before, cx.successors().to_vec()));
    }

    fn on_neighbour_gone(&mut self, cx: &mut Context<Probe>, gone: Gone) {
        cx.emit(Told::Gone(gone));
    }

    fn on_leaving(&mut self, cx: &mut Context<Probe>, successor: NodeHandle) {
        cx.emit(Told::Leaving(successor));
        if !self.lingers {
            cx.handed_over(successor);
        }
    }

    fn on_left(&mut self, cx: &mut Context<Probe>, departure: Departure) {
        cx.emit(Told::Left(departure));
    }

    fn next_wakeup(&self) -> Option<Time> {
        self.alarm
    }

    fn on_wakeup(&mut self, cx: &mut Context<Probe>) {
        self.alarm = None;
        cx.emit(Told::Woken);
    }
}

impl Probe {
    fn host(me: NodeHandle) -> Host<Probe> {
        Probe::host_at(me, START)
    }

    fn host_at(me: NodeHandle, now: Time) -> Host<Probe> {
        let mut host = Host::new(Probe::default(), me, now);
        host.register(ECHO, Probe::echo).unwrap();
        host.register(ODD, Probe::odd).unwrap();
        host.register(LATER, Probe::later).unwrap();
        host.register(LENGTH, |_, _, request| Answer::Ok(request.payload.len())).unwrap();
        host.register(FILL, |_, _, request| Answer::Ok(vec![7; request.payload])).unwrap();
        host
    }

    fn echo(&mut self, cx: &mut Context<Probe>, request: Request<u8, u8>) -> Answer<u8> {
        cx.emit(Told::Served(request.from, request.id, request.key, request.payload));
        Answer::Ok(request.payload)
    }

    fn odd(&mut self, _: &mut Context<Probe>, request: Request<u8, u8>) -> Answer<u8> {
        if request.payload % 2 == 1 { Answer::Ok(request.payload) } else { Answer::refused("it is even") }
    }

    fn later(&mut self, _: &mut Context<Probe>, request: Request<u8, u8>) -> Answer<u8> {
        self.tickets.push(request.ticket());
        Answer::Later
    }

    fn replied(&mut self, cx: &mut Context<Probe>, reply: Reply<u8>) {
        cx.emit(Told::Replied(reply.id, reply.from, reply.answer));
    }

    fn ask_for_neighbours(cx: &mut Context<Probe>, node: NodeHandle) {
        cx.request_to(node, builtin::PING, (), |_, cx, reply| {
            if reply.answer == Ok(()) {
                cx.emit(Told::Pong);
            }
        });
        cx.request_to(node, builtin::PREDECESSOR, (), |_, cx, reply| {
            reply.answer.into_iter().for_each(|node| cx.emit(Told::Before(node)));
        });
        cx.request_to(node, builtin::SUCCESSORS, (), |_, cx, reply| {
            reply.answer.into_iter().for_each(|nodes| cx.emit(Told::After(nodes)));
        });
        cx.request_to(node, builtin::COMMANDS, (), |_, cx, reply| {
            reply.answer.into_iter().for_each(|names| cx.emit(Told::Commands(names)));
        });
    }
}

fn node(port: u16) -> NodeHandle {
    NodeHandle::new(([10, 0, 0, 1], port).into())
}
