import Primitives
import Testing

@testable import FileStoreClient

/// The client against small servers in this process, in plain text.
@Suite struct ClientTests {
  private func client(_ servers: [LoopbackServer], identity: ClientIdentity = .token("t")) throws -> Client {
    let endpoints = servers.map { Endpoint(isSecure: false, host: "127.0.0.1", port: $0.port) }
    return try Client(ClientConfiguration(endpoints: endpoints, identity: identity))
  }

  @Test func aRequestGetsItsAnswer() throws {
    let server = try LoopbackServer { .init(status: 201, body: "\($0.method) \($0.path) \($0.body)", etag: "\"7\"") }
    let response = try client([server]).send(ClientRequest(.put, "/v1/x", body: Array("row".utf8)))
    #expect(response.status == 201)
    #expect(String(decoding: response.body, as: UTF8.self) == "put /v1/x row")
    #expect(response.etag == "\"7\"")
  }

  @Test func theTokenIsSentWithEachRequest() throws {
    let server = try LoopbackServer { .init(status: 200, body: $0.authorization) }
    let response = try client([server]).send(ClientRequest(.get, "/"))
    #expect(String(decoding: response.body, as: UTF8.self) == "Bearer t")
  }

  @Test func manyRequestsAreInFlightTogether() throws {
    let server = try LoopbackServer { .init(status: 200, body: $0.path) }
    let client = try client([server])
    var answers: Set<String> = []
    for number in 0..<1000 {
      client.submit(ClientRequest(.get, "/\(number)")) { result in
        if case .success(let response) = result { answers.insert(String(decoding: response.body, as: UTF8.self)) }
      }
    }
    while client.openRequests > 0 { try client.turn() }
    #expect(answers.count == 1000)
  }

  @Test func anotherNodeIsAskedWhenOneCannotBeReached() throws {
    let gone = try LoopbackServer { _ in .init(status: 200, body: "") }
    gone.stop()
    let server = try LoopbackServer { _ in .init(status: 200, body: "here") }
    let response = try client([gone, server]).send(ClientRequest(.put, "/"))
    #expect(response.endpoint == 1)
  }

  @Test func aLostWriteIsNotRepeatedWithoutLeave() throws {
    let cut = try LoopbackServer { _ in nil }
    let server = try LoopbackServer { _ in .init(status: 200, body: "") }
    let client = try client([cut, server])
    #expect(throws: ClientError.self) { try client.send(ClientRequest(.put, "/", mayRepeat: false)) }
    do {
      _ = try client.send(ClientRequest(.put, "/", mayRepeat: false))
      #expect(Bool(true), "the next write goes to the node that answers")
    } catch {
      #expect(Bool(false), "the cut node is not asked again: \(error)")
    }
  }

  @Test func aLostWriteThatMayBeRepeatedIsAnsweredByAnotherNode() throws {
    let cut = try LoopbackServer { _ in nil }
    let server = try LoopbackServer { _ in .init(status: 200, body: "") }
    let response = try client([cut, server]).send(ClientRequest(.put, "/", mayRepeat: true))
    #expect(response.endpoint == 1)
  }

  @Test func theLeaderIsAskedWhenTheServerNamesIt() throws {
    let leader = try LoopbackServer { _ in .init(status: 200, body: "") }
    let problem = #"{"code":"wrong-node","retry":"elsewhere","leader":"127.0.0.1:\#(leader.port)"}"#
    let other = try LoopbackServer { _ in .init(status: 421, body: problem) }
    let third = try LoopbackServer { _ in .init(status: 421, body: problem) }
    let response = try client([other, third, leader]).send(ClientRequest(.put, "/"))
    #expect(response.endpoint == 2)
  }

  @Test func aRequestEndsAtItsDeadline() throws {
    let gone = try LoopbackServer { _ in .init(status: 200, body: "") }
    gone.stop()
    var request = ClientRequest(.get, "/")
    request.timeoutMilliseconds = 200
    let client = try client([gone])
    #expect { try client.send(request) } throws: { error in
      if case ClientError.unreachable(let reason) = error { return reason.contains("refused") }
      return false
    }
  }

  @Test func aPinnedRequestStaysWithItsNode() throws {
    let first = try LoopbackServer { _ in .init(status: 200, body: "") }
    let second = try LoopbackServer { _ in .init(status: 200, body: "") }
    var request = ClientRequest(.get, "/readyz")
    request.endpoint = 1
    #expect(try client([first, second]).send(request).endpoint == 1)
  }

  @Test func aSecureEndpointNeedsAnAuthority() {
    let endpoints = [Endpoint(host: "127.0.0.1", port: 7101)]
    #expect(throws: ClientError.self) { try Client(ClientConfiguration(endpoints: endpoints)) }
  }
}
