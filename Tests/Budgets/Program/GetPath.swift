import CLinux
import Glibc
import Primitives
import Transport

/// GETs of rows over HTTP/2 with a token, from the bytes of a socket to the bytes in the socket: the turn in which the
/// requests come and are answered, and the one that learns that the answers are sent.
final class GetPath: HotPath {
  let units: Int
  private let trio = Trio()
  private let edge: Edge
  private let client: Client
  private var number = 0

  init(atOnce: Int, isSecure: Bool) {
    units = atOnce
    let credential = isSecure ? Credential() : nil
    edge = Edge(trio, context: credential?.server)
    var ends: [Int32] = [0, 0]
    expect(socketpair(AF_UNIX, fs_sock_stream, 0, &ends) == 0, "the system has sockets")
    edge.accept(ends[0])
    client = Client(ends[1], context: credential?.client)
    client.open { [edge] in edge.turn() }
  }

  func operate(_ count: Meter) {
    for _ in 0..<units {
      client.get(Items.key(number * 37))
      number += 1
    }
    client.write()
    count {
      edge.turn()
      edge.turn()
    }
    client.read()
    client.expectAnswers(units)
    trio.settle()
  }
}

/// The client's end of the connection, which is not counted.
final class Client {
  private let descriptor: Int32
  private let connection: ClientConnection
  private let head = HeaderBlock()
  private var isOpen = false
  private var answered = 0

  init(_ descriptor: Int32, context: TLSContext?) {
    self.descriptor = descriptor
    connection = ClientConnection(context, scratch: TransportScratch())
    connection.start()
  }

  /// Exchanges greetings until nothing more comes.
  func open(_ turn: () -> Void) {
    for _ in 0..<20 {
      write()
      turn()
      read()
    }
    expect(isOpen, "the connection opens")
  }

  func get(_ key: [UInt8]) {
    head.request(
      .get, authority: "127.0.0.1:7101", path: "/v1/tables/items/rows/" + String(decoding: key, as: UTF8.self))
    head.add("user-agent", "budgets/1")
    head.add("accept", "*/*")
    head.add("authorization", Credential.bearer)
    expect(connection.http2.submit(head) != nil, "the connection takes a request")
  }

  func write() {
    guard let bytes = connection.takeOutput() else { return }
    expect(send(descriptor, bytes.baseAddress, bytes.count, 0) == bytes.count, "the socket takes a request")
    _ = connection.didSend(bytes.count)
  }

  func read() {
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
      let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { connection.receive(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])) }
    }
    while let event = connection.nextEvent() { take(event) }
  }

  private func take(_ event: ClientConnection.Event) {
    switch event {
    case .opened: isOpen = true
    case .http2(.response(let handle)):
      let answer = connection.http2.response(handle)
      expect(answer?.status == 200 && (answer?.body.count ?? 0) > 100, "the answer is the row")
      connection.http2.release(handle)
      answered += 1
    default: fatalError("a connection that only gets answers: \(event)")
    }
  }

  /// So many answers came since the last call.
  func expectAnswers(_ count: Int) {
    expect(answered == count, "\(answered) answers of \(count)")
    answered = 0
  }
}
