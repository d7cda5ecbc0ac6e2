// Handing leadership over.
//
//     requested ── target durable through our last entry ── timeoutNow ── its vote request in the next term: step down
//         │                                                     │
//         └───────────────── transferTimeout ───────────────────┘── proposals again; the lease only if nothing was sent

import Primitives

struct Transfer: Equatable, Sendable {
  let target: Member
  let deadline: Instant
  var isSent = false
}

extension RaftGroup {
  /// Nothing happens unless this replica leads, the target is another voter, and no transfer is under way.
  func handleTransferRequested(_ target: Member, into effects: inout RaftEffects) {
    guard let leadership, leadership.transfer == nil, target != me, configuration.isVoter(target) else { return }
    self.leadership?.transfer = Transfer(target: target, deadline: clock + settings.transferTimeout)
    maybeHandOver(into: &effects)
  }

  /// Tells the target to campaign once it holds everything. From then on another leader may be elected at any time.
  func maybeHandOver(into effects: inout RaftEffects) {
    guard let leadership, let transfer = leadership.transfer, !transfer.isSent,
      progress(of: transfer.target)?.match == log.lastIndex
    else { return }
    self.leadership?.transfer?.isSent = true
    self.leadership?.leaseEnded = true
    send(.timeoutNow(target: transfer.target), to: transfer.target, into: &effects)
  }

  func abandonTransfer(into effects: inout RaftEffects) {
    guard let transfer = leadership?.transfer else { return }
    leadership?.transfer = nil
    effects.changes.append(.transferAbandoned(transfer.target))
  }
}
