import CLinux
import FileStoreClient
import Foundation
import Primitives

/// Clients that come, ask for a few things, and go; and connections of which nothing ever comes.
struct Visitor: Sendable {
  let cluster: LocalCluster
  let number: Int
  let seed: UInt64

  func work(_ crew: MixedCrew, _ tally: inout MixedTally) throws(ChaosError) {
    var random = SeededRandom(seed: seed &+ 1000 &+ UInt64(number))
    while !crew.isStopping {
      let client = try cluster.client(first: Int(random.below(3)))
      for _ in 0...random.below(4) { try ask(client, crew, &random, &tally) }
      crew.pause(random.milliseconds(0...300))
    }
  }

  private func ask(
    _ client: Client, _ crew: MixedCrew, _ random: inout SeededRandom, _ tally: inout MixedTally
  ) throws(ChaosError) {
    let driver = Int(random.below(UInt64(MixedScenario.drivers)))
    let key = MixedRows.key(driver, MixedRows.draw(&random))
    let request =
      switch random.below(4) {
      case 0: ClientRequest(.get, "/metrics")
      case 1: ClientRequest(.get, "/v1/nodes")
      default: ClientRequest(.get, MixedRows.path(key))
      }
    tally.sent += 1
    let result = Result { () throws(ClientError) in try client.send(request) }
    crew.countAnswer()
    guard let response = tally.take("visit", result) else { return }
    if request.path == MixedRows.path(key), response.status == 200 {
      tally.expect(MixedRows.read(response.body[...])?.key == key[...], "\(key) is not what anybody wrote")
    } else {
      tally.expect(response.isSuccess || response.status == 404, "\(request.path) was answered with \(response.status)")
    }
  }
}

/// Opens many connections at once, sends nothing, half of a greeting or no TLS, and closes them.
struct Stranger: Sendable {
  static let connections = 40
  let cluster: LocalCluster
  let seed: UInt64

  func work(_ crew: MixedCrew) {
    var random = SeededRandom(seed: seed &+ 2000)
    while !crew.isStopping {
      let port = cluster.ports[Int(random.below(UInt64(cluster.ports.count)))]
      let sockets = (0..<Self.connections).compactMap { _ in Self.connect(port) }
      for socket in sockets { Self.say(Int(random.below(3)), socket) }
      crew.pause(random.milliseconds(20...400))
      for socket in sockets { close(socket) }
      crew.pause(random.milliseconds(100...1000))
    }
  }

  private static func connect(_ port: UInt16) -> Int32? {
    let descriptor = socket(AF_INET, fs_sock_stream, 0)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result == 0 { return descriptor }
    close(descriptor)
    return nil
  }

  private static func say(_ kind: Int, _ socket: Int32) {
    let texts: [[UInt8]] = [[], [0x16, 0x03, 0x01, 0x02, 0x00, 0x01], Array("GET / HTTP/1.1\r\n\r\n".utf8)]
    _ = texts[kind].withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }
}

/// Makes a table, fills it, reads it and drops it, again and again.
struct TableMaker: Sendable {
  static let batches = 4
  static let batchRows = 100
  let cluster: LocalCluster

  func work(_ crew: MixedCrew, _ tally: inout MixedTally) throws(ChaosError) {
    let client = try cluster.client(first: 1)
    var number = 0
    while !crew.isStopping {
      number += 1
      let name = "visit_\(number)"
      try post(client, "/v1/tables", Self.description(name), crew, &tally)
      for batch in 0..<Self.batches { try post(client, "/v1/batch", Self.batch(name, batch), crew, &tally) }
      let lines = try send(client, Self.scan(name), crew, &tally).map { $0.body.count { $0 == UInt8(ascii: "\n") } }
      tally.expect(lines ?? 400 == Self.batches * Self.batchRows, "\(name) has \(lines ?? 0) rows")
      let dropped = try send(client, ClientRequest(.delete, "/v1/tables/\(name)", mayRepeat: true), crew, &tally)
      tally.expect(dropped?.isSuccess ?? true, "dropping \(name) was answered with \(dropped?.status ?? 0)")
      crew.pause(.milliseconds(500))
    }
  }

  private static func description(_ name: String) -> String {
    """
    {"name":"\(name)","columns":[{"name":"id","type":"int64"},{"name":"text","type":"text"}],"primary_key":["id"]}
    """
  }

  private static let text = String(repeating: "visit ", count: 100)

  private static func batch(_ name: String, _ batch: Int) -> String {
    let operations = (0..<batchRows).map {
      "{\"op\":\"put\",\"table\":\"\(name)\",\"key\":\(batch * batchRows + $0),\"row\":{\"text\":\"\(text)\"}}"
    }
    return "{\"operations\":[\(operations.joined(separator: ","))]}"
  }

  private static func scan(_ name: String) -> ClientRequest {
    var request = ClientRequest(.get, "/v1/tables/\(name)/rows")
    request.headers = [Header("accept", "application/x-ndjson")]
    return request
  }

  private func post(
    _ client: Client, _ path: String, _ body: String, _ crew: MixedCrew, _ tally: inout MixedTally
  ) throws(ChaosError) {
    var request = ClientRequest(.post, path, body: Array(body.utf8), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    let response = try send(client, request, crew, &tally)
    let isDone = response.map { $0.isSuccess || $0.problem?.code == "table-exists" } ?? true
    tally.expect(isDone, "\(path) was answered with \(response?.status ?? 0)")
  }

  private func send(
    _ client: Client, _ request: ClientRequest, _ crew: MixedCrew, _ tally: inout MixedTally
  ) throws(ChaosError) -> ClientResponse? {
    tally.sent += 1
    let result = Result { () throws(ClientError) in try client.send(request) }
    crew.countAnswer()
    return tally.take("tables", result)
  }
}
