import Primitives
import Store

// Pages of trees that were discarded are freed a few a turn, with whatever else the turn has to do. It is this node's own
// business: other replicas do it when they come to it, and a checkpoint holds how far it has come.

/// What freeing waits for.
enum ReclaimState {
  case goesOn
  case awaitsPage(PageID)
  /// Memory or disk had no room for it; tried again in each turn that there is.
  case awaitsRoom
}

extension Node {
  private static let reclaimPagesMax = 32

  func reclaimPages() {
    guard isOpen, store.mayHaveDiscarded else { return }
    if case .awaitsPage(let page) = reclaim, pages.isLoading(page) { return }
    reclaim = .goesOn
    do throws(PrepareFailure) { _ = try store.reclaim(pagesMax: Self.reclaimPagesMax) } catch {
      guard case .missing(let missing) = error else { return reclaim = .awaitsRoom }
      reclaim = .awaitsPage(missing.page)
      load(missing)
    }
  }

  /// Whether the next turn is wanted at once.
  var hasMoreToReclaim: Bool {
    guard isOpen, !isClosing, store.mayHaveDiscarded else { return false }
    switch reclaim {
    case .goesOn: return true
    case .awaitsPage(let page): return !pages.isLoading(page)
    case .awaitsRoom: return false
    }
  }
}
