import Primitives
import Raft

// Handing over: leadership transfer on request, and the graceful stop.

extension Node {
  /// `POST /v1/shards/1/leader`: answered when the transfer is known to have succeeded or not.
  func transfer(_ handle: RequestHandle, to node: NodeID) {
    let voters = replica.raft.configuration.voters
    guard let target = voters.first(where: { $0.node == node }) else {
      return finish(handle, Reply(Problem(.nodeNotFound, "\(node) holds no voting replica of this shard.")))
    }
    if target == settings.me { return finish(handle, Reply(status: 204)) }
    requests.setStage(.transferring, of: handle)
    stepRaft(.transferRequested(target))
  }

  func transferAbandoned(_ target: Member) {
    let text = "\(target.node) did not take over in time. Check that it runs and has caught up, then repeat."
    let handles = requests.handles { $0.stage == .transferring }
    for handle in handles { finish(handle, Reply(Problem(.conflict, text))) }
    if isDraining { handOver(after: target.node) }
    routeWaiting()
  }

  func drain() {
    guard !isDraining else { return }
    isDraining = true
    handOver(after: settings.me.node)
  }

  /// Asks the next node in order, so that one that cannot take over does not keep the others from it.
  private func handOver(after node: NodeID) {
    guard fault == nil, replica.isLeader else { return }
    let others = replica.raft.configuration.peers(of: settings.me).filter { isLinkOpen($0.node) }
    guard let target = others.first(where: { $0.node > node }) ?? others.first else { return }
    stepRaft(.transferRequested(target))
  }

  /// Makes durable what waits, and seals the log. Nothing may be appended behind that: requests that still wait learn
  /// what may have happened to them, and the node is deaf from here on.
  func close() {
    guard !isClosing else { return }
    isClosing = true
    isDraining = true
    for handle in requests.handles(where: { !$0.operation.isAboutNodes }) { finishAtClose(handle) }
    journalStep(.shutdown)
  }

  private func finishAtClose(_ handle: RequestHandle) {
    guard let request = requests[handle] else { return }
    let executed = request.stage.mayHaveExecuted(write: request.operation.isWrite)
    finish(handle, Reply(executed ? .outcomeUnknown("The node stopped.") : .draining(leader: leaderName)))
  }

  /// Drained: no request waits, and leadership is elsewhere if anybody could take it.
  func reportDrained() {
    guard isDraining, !drainReported else { return }
    let canHandOver = replica.isLeader && peers.contains { $0.isOpen } && fault == nil
    guard requests.count == 0, !canHandOver else { return }
    drainReported = true
    effects.drained = true
  }
}
