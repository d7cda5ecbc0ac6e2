import Primitives
import Testing

@testable import Node

@Suite struct RequestTableTests {
  private func request(_ operation: Operation = .listTables) -> PendingRequest {
    PendingRequest(origin: .client(RequestID(7)), deadline: .never, operation: operation, stage: .waitingForLeader)
  }

  @Test func aHandleIsNeverUsedAgain() throws {
    var table = RequestTable(countMax: 4, bytesMax: 10_000, boot: 1)
    let firstInserted = table.insert(request())
    let first = try #require(firstInserted)
    let result1 = table.remove(first)
    #expect(result1 != nil)
    let secondInserted = table.insert(request())
    let second = try #require(secondInserted)
    #expect(first != second)
    #expect(first.slot == second.slot)
    #expect(table[first] == nil)
    let result2 = table.remove(first)
    #expect(result2 == nil)
    #expect(table.count == 1)
  }

  @Test func whatIsPrintedInPartIsCountedUntilItIsTakenOrGone() throws {
    var table = RequestTable(countMax: 4, bytesMax: 10_000, boot: 1)
    let inserted = [table.insert(request()), table.insert(request())]
    let handles = try inserted.map { try #require($0) }
    for handle in handles { table.setPartial(PartialRead(body: Array(repeating: 1, count: 100)), of: handle) }
    #expect(table.partialBytes == 200)
    let taken = table.takePartial(of: handles[0])
    #expect(taken?.body.count == 100 && table.partialBytes == 100)
    let again = table.takePartial(of: handles[0])
    #expect(again == nil && table.partialBytes == 100)
    for handle in handles { _ = table.remove(handle) }
    #expect(table.partialBytes == 0)
    let late = table.takePartial(of: handles[1])
    #expect(late == nil && table.partialBytes == 0)
  }

  @Test func aLaterStartsHandlesAreOthers() {
    var handles: Set<RequestHandle> = []
    for boot in [UInt64(1), 2, 0xFFFF, 0x1_0000] {
      var table = RequestTable(countMax: 3, bytesMax: 10_000, boot: boot)
      for use in 0..<100 {
        guard let handle = table.insert(request()) else { continue }
        #expect(table[handle] != nil && handles.insert(handle).inserted)
        if use > 0 { _ = table.remove(handle) }
      }
    }
    #expect(handles.count == 400)
  }

  @Test func aFullTableRefusesByCountAndByBytes() throws {
    var few = RequestTable(countMax: 1, bytesMax: 10_000, boot: 1)
    let handleInserted = few.insert(request())
    let handle = try #require(handleInserted)
    let result3 = few.insert(request())
    #expect(result3 == nil)
    _ = few.remove(handle)
    let result4 = few.insert(request())
    #expect(result4 != nil)
    var small = RequestTable(countMax: 10, bytesMax: 1000, boot: 1)
    let result5 = small.insert(request(.lookup(body: [UInt8](repeating: 0, count: 900))))
    #expect(result5 != nil)
    let result6 = small.insert(request(.lookup(body: [UInt8](repeating: 0, count: 100))))
    #expect(result6 == nil)
  }

  @Test func deadlinesComeInTimeAndOnce() {
    var wheel = DeadlineWheel(now: Instant(nanoseconds: 5_000_000_000))
    let start = Instant(nanoseconds: 5_000_000_000)
    for n in 0..<100 { wheel.add(RequestHandle(UInt64(n)), deadline: start + .milliseconds(UInt64(n) * 1300)) }
    var seen: [UInt64: Instant] = [:]
    var now = start
    while wheel.count > 0 {
      now = now + .milliseconds(7)
      for handle in wheel.expire(at: now) {
        #expect(seen[handle.rawValue] == nil)
        seen[handle.rawValue] = now
      }
    }
    #expect(seen.count == 100)
    for n in 0..<90 {
      let deadline = start + .milliseconds(UInt64(n) * 1300)
      #expect(seen[UInt64(n)].map { $0 >= deadline && $0 - deadline < .milliseconds(50) } == true)
    }
  }
}
