import Primitives
import Raft
import Store
import Tables

// Linearizable reads: on the leader, from the applied state, once it is certain that nothing newer exists.

extension Node {
  /// Answers a read without keeping it; false when a page is missing.
  func serveNow(_ request: PendingRequest) -> Bool {
    var partial = PartialRead()
    do throws(PageMissing) {
      let reply = try perform(request.operation, &partial)
      statistics.reads += 1
      answer(request.origin, reply)
      return true
    } catch {
      // The page is loaded and the read goes on when the request has its place in the table.
      return false
    }
  }

  /// Brings a kept read (or the resolving of a name) forward: runs it, or asks Raft to confirm first.
  func read(_ handle: RequestHandle) {
    guard !replica.canRead(at: now) else { return runRead(handle) }
    if replica.raft.canServeRead(at: now) {
      return waitForApply(handle, through: replica.raft.commitIndex)
    }
    requests.setStage(.waitingForRead, of: handle)
    statistics.readRounds += 1
    stepRaft(.readRequested(handle.rawValue))
  }

  func readReady(_ handle: RequestHandle, at index: LogIndex) {
    guard requests[handle]?.stage == .waitingForRead else { return }
    if replica.appliedIndex >= index { return runRead(handle) }
    waitForApply(handle, through: index)
  }

  func readRefused(_ handle: RequestHandle) {
    guard requests[handle]?.stage == .waitingForRead else { return }
    // Raft refuses when leadership is gone (then it is asked elsewhere) or when too many wait.
    guard replica.isLeader else { return route(handle) }
    statistics.overloaded += 1
    finish(handle, Reply(.overloaded))
  }

  private func waitForApply(_ handle: RequestHandle, through index: LogIndex) {
    requests.setStage(.waitingForApply(index), of: handle)
    replica.waitingForApply.append((index, handle))
  }

  /// Runs what waited for an index that is applied now.
  func runWaitingReads() {
    guard !replica.waitingForApply.isEmpty else { return }
    let waiting = replica.waitingForApply
    replica.waitingForApply.removeAll(keepingCapacity: true)
    for (index, handle) in waiting {
      guard requests[handle]?.stage == .waitingForApply(index) else { continue }
      if replica.appliedIndex >= index {
        runRead(handle)
      } else {
        replica.waitingForApply.append((index, handle))
      }
    }
  }

  /// The state is current enough for this request: answer from it. Writes come here when their table was not known.
  func runRead(_ handle: RequestHandle) {
    var partial = requests.takePartial(of: handle) ?? PartialRead()
    guard let request = requests[handle] else { return }
    if request.operation.isWrite { return planConfirmed(handle, request) }
    do throws(PageMissing) {
      let reply = try perform(request.operation, &partial)
      statistics.reads += 1
      finish(handle, reply)
    } catch {
      requests.setPartial(partial, of: handle)
      waitForPage(error, handle)
    }
  }
}

/// Pages on their way, and the requests that wait for each.
struct PageWaits {
  private var waiting: [PageID: [RequestHandle]] = [:]
  /// The page that `apply` waits for.
  var apply: PageID?

  var count: Int { waiting.count }
  func isLoading(_ page: PageID) -> Bool { waiting[page] != nil }
  mutating func start(_ page: PageID) { if waiting[page] == nil { waiting[page] = [] } }
  mutating func add(_ handle: RequestHandle, to page: PageID) { waiting[page, default: []].append(handle) }
  mutating func take(_ page: PageID) -> [RequestHandle] { waiting.removeValue(forKey: page) ?? [] }
}

extension Node {
  func waitForPage(_ missing: PageMissing, _ handle: RequestHandle) {
    load(missing)
    for ahead in store.takeMissesAhead() { load(ahead) }
    requests.setStage(.waitingForPage(missing.page), of: handle)
    pages.add(handle, to: missing.page)
  }

  /// Orders the page once, however many wait for it.
  func load(_ missing: PageMissing) {
    guard !pages.isLoading(missing.page) else { return }
    statistics.pageMisses += 1
    pages.start(missing.page)
    effects.pageReads.append(store.loadOrder(for: missing))
  }

  /// The driver read a page. The bytes are checked before anybody sees them.
  package func pageLoaded(
    _ read: PageRead, bytes: UnsafeRawBufferPointer, at time: Instant, into output: inout NodeEffects
  ) {
    now = max(now, time)
    swap(&effects, &output)
    defer { swap(&effects, &output) }
    guard fault == nil else { return }
    do throws(PageDamage) {
      try store.pageLoaded(read, bytes)
    } catch {
      return fail(error.description)
    }
    let page = read.page
    let waiting = pages.take(page)
    if pages.apply == page {
      pages.apply = nil
      applyCommitted()
    }
    for handle in waiting where requests[handle]?.stage == .waitingForPage(page) { runRead(handle) }
  }

  func pageReadFailed(_ page: PageID, _ errno: Int32) {
    fail("page \(page) could not be read (errno \(errno)); check the disk and the kernel's log")
  }
}
