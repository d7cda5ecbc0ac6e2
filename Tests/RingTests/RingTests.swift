import Glibc
import Primitives
import Ring
import Testing

/// Waits until the operation with `token` has completed, at most two seconds.
func completion(of token: UInt64, on ring: Ring) -> Completion? {
  let deadline = ring.now() + .seconds(2)
  while ring.now() < deadline {
    for one in ring.wait(until: deadline) where one.token == token { return one }
  }
  return nil
}

/// Waits until all of `tokens` have completed, at most two seconds; the results by token.
func results(of tokens: Set<UInt64>, on ring: Ring) -> [UInt64: Int32] {
  var found: [UInt64: Int32] = [:]
  let deadline = ring.now() + .seconds(2)
  while !tokens.isSubset(of: found.keys), ring.now() < deadline {
    for one in ring.wait(until: deadline) { found[one.token] = one.result }
  }
  return found
}

@Suite struct RingTests {
  @Test func aConnectionIsAcceptedCarriesBytesBothWaysAndEnds() throws {
    let ring = try Ring(entries: 64)
    let listener = try Listener(SocketAddress("127.0.0.1:0"))
    ring.accept(on: listener.descriptor, token: 1)
    let client = try Sockets.make(for: listener.address)
    ring.connect(client, to: listener.address, token: 2)
    let made = results(of: [1, 2], on: ring)
    let accepted = try #require(made[1])
    #expect(made[2] == 0)

    let buffer = AlignedBuffer(count: 4096)
    ring.receive(accepted, into: buffer.bytes, token: 3)
    let text = Array("hello".utf8)
    text.withUnsafeBytes { bytes in
      ring.send(client, bytes, token: 4)
      #expect(results(of: [3, 4], on: ring) == [3: 5, 4: 5])
    }
    #expect(Array(buffer.bytes[..<5]) == text)
    ring.receive(accepted, into: buffer.bytes, token: 5)
    ring.shutdown(client, both: false)
    #expect(completion(of: 5, on: ring)?.result == 0)
    ring.close(client, token: 6)
    #expect(completion(of: 6, on: ring)?.result == 0)
    ring.close(accepted)
    ring.submit()
  }

  @Test func aRefusedConnectionIsACompletionWithItsErrno() throws {
    let ring = try Ring(entries: 8)
    let address: SocketAddress
    do {
      let listener = try Listener(SocketAddress("127.0.0.1:0"))
      address = listener.address
    }
    let socket = try Sockets.make(for: address)
    ring.connect(socket, to: address, token: 1)
    #expect(completion(of: 1, on: ring)?.code == ECONNREFUSED)
    Sockets.closeNow(socket)
  }

  @Test func aTakenAddressIsToldApart() throws {
    let first = try Listener(SocketAddress("[::1]:0"))
    do {
      _ = try Listener(first.address)
      Issue.record("two listeners on one address")
    } catch {
      #expect(error.isAddressInUse)
      #expect(error.description.contains("[::1]:"))
    }
  }

  @Test func waitingEndsAtTheDeadlineWithNothing() throws {
    let ring = try Ring(entries: 8)
    let start = ring.now()
    #expect(ring.wait(until: start + .milliseconds(20)).isEmpty)
    let took = ring.now() - start
    #expect(took >= .milliseconds(19))
    #expect(ring.wait(until: start).isEmpty)
  }

  @Test func pollingFindsWhatIsThereAndWhatComesLater() throws {
    let ring = try Ring(entries: 8)
    let wake = try WakeUp()
    let buffer = AlignedBuffer(count: 4096)
    let eight = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<8])
    for polling in [Nanoseconds.zero, .milliseconds(1), .seconds(5)] {
      ring.timeout(at: .zero, token: 1)
      #expect(ring.wait(until: nil, polling: polling).map(\.token) == [1])
      ring.read(wake.descriptor, into: eight, at: nil, token: 2)
      ring.timeout(at: ring.now() + .milliseconds(20), token: 3)
      #expect(ring.wait(until: nil, polling: polling).map(\.token) == [3])
      wake.wake()
      #expect(ring.wait(until: nil, polling: polling).map(\.token) == [2])
    }
  }

  @Test func pollingEndsAtTheDeadlineAndSleepsAfterItsTime() throws {
    let ring = try Ring(entries: 8)
    let start = ring.now()
    #expect(ring.wait(until: start + .milliseconds(20), polling: .seconds(5)).isEmpty)
    #expect(ring.now() - start < .seconds(2))
    let polled = ring.polled
    #expect(polled >= .milliseconds(10))
    #expect(ring.wait(until: ring.now() + .milliseconds(50), polling: .milliseconds(1)).isEmpty)
    #expect(ring.now() - start >= .milliseconds(69))
    let more = ring.polled.rawValue - polled.rawValue
    #expect(more >= 500_000 && more < 40_000_000, "polled \(more) ns")
    #expect(ring.wait(until: .zero, polling: .seconds(5)).isEmpty)
  }

  @Test func aTimeoutFiresAtItsMomentAndACancelledOneCompletesAtOnce() throws {
    let ring = try Ring(entries: 8)
    let start = ring.now()
    ring.timeout(at: start + .milliseconds(10), token: 1)
    ring.timeout(at: start + .seconds(60), token: 2)
    #expect(completion(of: 1, on: ring)?.code == ETIME)
    #expect(ring.now() - start >= .milliseconds(9))
    ring.cancel(2)
    #expect(completion(of: 2, on: ring)?.code == ECANCELED)
  }

  @Test func moreOperationsThanEntriesAreAllCompleted() throws {
    let ring = try Ring(entries: 8)
    let wake = try WakeUp()
    let buffer = AlignedBuffer(count: 4096)
    for token in 1...200 { ring.timeout(at: .zero, token: UInt64(token)) }
    ring.read(wake.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<8]), at: nil, token: 201)
    wake.wake()
    #expect(results(of: Set(1...201), on: ring).count == 201)
  }

  @Test func operationsOnADescriptorCanAllBeCancelled() throws {
    let ring = try Ring(entries: 8)
    let wake = try WakeUp()
    let buffer = AlignedBuffer(count: 4096)
    ring.read(wake.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<8]), at: nil, token: 1)
    ring.pollReadable(wake.descriptor, token: 2)
    ring.submit()
    ring.cancelAll(on: wake.descriptor)
    #expect(results(of: [1, 2], on: ring) == [1: -ECANCELED, 2: -ECANCELED])
  }

  @Test func aFaultLayerAnswersInPlaceOfTheKernel() throws {
    final class Broken: FaultLayer {
      func decide(_ operation: RingOperation, descriptor: Int32, token: UInt64, count: Int) -> Int32? {
        operation == .synchronize ? -EIO : nil
      }
    }
    let ring = try Ring(entries: 8)
    ring.faults = Broken()
    ring.synchronize(1, token: 7)
    #expect(completion(of: 7, on: ring)?.code == EIO)
  }

  @Test func memoryForPagesIsAlignedAndComesOneBehindTheOther() {
    let part = 2 << 20
    let memory = ResidentMemory(byteCount: 3 * part + 4096)
    let first = memory.take(part)
    #expect(UInt(bitPattern: first) % UInt(part) == 0)
    first.initializeMemory(as: UInt8.self, repeating: 1, count: part)
    let others = [memory.take(part), memory.take(part), memory.take(4096)]
    #expect(others == [first + part, first + 2 * part, first + 3 * part])
    for other in others { other.initializeMemory(as: UInt8.self, repeating: 2, count: 4096) }
    #expect(first.load(as: UInt8.self) == 1)
  }

  /// On a machine of one node all memory is near; on others what is touched here is, unless the node is full.
  @Test func memoryForPagesIsNear() {
    #expect(MemoryNodes.count >= 1 && MemoryNodes.stay(on: MemoryNodes.current))
    let memory = ResidentMemory(byteCount: 8 << 20)
    _ = memory.take(4 << 20).initializeMemory(as: UInt8.self, repeating: 1, count: 4 << 20)
    let (near, resident) = MemoryNodes.nearness(of: memory.handedOutBytes, to: MemoryNodes.current)
    #expect(resident >= 128 && near == resident)
    let untouched = ResidentMemory(byteCount: 512 << 20)
    let far = untouched.take(256 << 20)
    let found = MemoryNodes.nearness(of: UnsafeRawBufferPointer(start: far + (128 << 20), count: 64 << 20), to: 0)
    #expect(found.resident == 0)
  }

  @Test func memoryForPagesIsThereBeforeItIsWanted() {
    let (part, ahead) = (2 << 20, ResidentMemory.bytesAhead)
    let memory = ResidentMemory(byteCount: 4 * ahead)
    let start = memory.take(part)
    func resident(_ offset: Int) -> Int {
      var pages = [UInt8](repeating: 0, count: ahead / 4096)
      #expect(mincore(start + offset, ahead, &pages) == 0)
      return pages.count { $0 & 1 == 1 }
    }
    var rests = 0
    while resident(part) < ahead / 4096, rests < 1000 {
      usleep(10_000)
      rests += 1
    }
    #expect(resident(part) == ahead / 4096, "nobody has touched it")
    #expect(resident(2 * ahead) == 0, "what is far off is left alone")
    _ = memory.take(part)
    #expect(memory.take(part) == start + 2 * part)
  }

  @Test func eachRefusalOfTheKernelNamesItsRemedy() {
    #expect(RingRefusal(code: EPERM).remedy.contains("kernel.io_uring_disabled=0"))
    #expect(RingRefusal(code: ENOSYS).remedy.contains("seccomp"))
    #expect(RingRefusal(code: ENOMEM).remedy.contains("ulimit -l"))
    #expect(RingRefusal(code: EMFILE).description.contains("ulimit -n"))
  }
}
