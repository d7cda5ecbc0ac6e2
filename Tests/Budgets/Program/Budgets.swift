import ArgumentParser
import BudgetMeter

/// # budgets: the hot paths, each to be run so many times under valgrind
///
/// **What it is for.** Instructions and allocations of one operation do not depend on what else the machine does, so a
/// change that makes a path dearer is seen in a test, by the machine and not by a feeling. `Tests/Budgets/run` runs each
/// path under callgrind and `judge.py` compares it with `budgets.json`.
///
/// **How it works.** A path (`HotPath`) prepares its state, runs some operations uncounted until every list has its
/// memory, then as many as asked for. What is the product's work in an operation runs inside `Meter`; everything else
/// (clients, other nodes, disks) outside of it is not counted. Time is virtual: a turn takes 25 µs.
///
/// **What is real.** All code between the bytes of a client's socket and its answer, for GET: the ring, connections,
/// TLS, HTTP/2, authorization, routing, node, tables, store. For PUT and followers: the node with all below it, three of
/// them, by payloads as links carry them. One unloaded turn for each event, so the costs of a turn are in every figure.
///
/// **What is left out.** The loop of `Server` is repeated here in a few lines (`Edge`), without its files and links: so
/// the driver's side of log writes and the framing and encryption between nodes are not counted, nor checkpoints, page
/// misses, new segments, handshakes and the first check of a token. The kernel's work is never counted. All is measured
/// with warm memory; caches and branches have no cost here.
@main
struct Budgets: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "budgets", abstract: "Runs one hot path, to be counted by valgrind (Tests/Budgets/run).")

  @Argument(help: "The path.") var path: String?
  @Option(help: "How many operations are counted.") var operations: Int?
  @Flag(help: "Name the paths, one a line.") var list = false

  func run() throws {
    if list {
      for entry in PathEntry.all { print(entry.name) }
      return
    }
    guard let entry = PathEntry.all.first(where: { $0.name == path }) else {
      throw ValidationError("Name one of the paths: \(PathEntry.all.map(\.name).joined(separator: ", ")).")
    }
    let hot = entry.make()
    // Lives as long as the process: a connection may go only when the kernel uses nothing of it any more.
    _ = Unmanaged.passRetained(hot as AnyObject)
    let count = operations ?? entry.operations
    for _ in 0..<entry.warmUp { hot.operate(Meter(isCounting: false)) }
    for _ in 0..<count { hot.operate(Meter(isCounting: true)) }
    print(
      "{\"path\":\"\(entry.name)\",\"unit\":\"\(entry.unit)\",\"units\":\(count * hot.units),"
        + "\"allocations\":\(fs_budget_allocations())}")
  }
}
