import Testing

@testable import FileStoreClient

@Suite struct MessagesTests {
  @Test(arguments: [
    ("https://127.0.0.1:7101", "https://127.0.0.1:7101"), ("127.0.0.1:7101", "https://127.0.0.1:7101"),
    ("http://[::1]:80/", "http://[::1]:80"), ("https://db.example:7101/", "https://db.example:7101"),
  ])
  func endpointsAreRead(text: String, shown: String) {
    #expect(Endpoint(text)?.description == shown)
  }

  @Test(arguments: ["", "host", "host:", "host:0", "host:70000", "::1:7101", "https://:7101", "https://h/x:1"])
  func otherTextsAreNoEndpoints(text: String) { #expect(Endpoint(text) == nil) }

  @Test func aProblemTellsWhatToDo() throws {
    let body = #"""
      {"type":"urn:filestore:type-mismatch","title":"A value has the wrong type","status":400,"code":"type-mismatch",
       "retry":"never","detail":"Column size wants int64.","operation":3,"request_id":"00c0ffee"}
      """#
    let problem = try #require(ClientResponse(status: 400, body: Array(body.utf8)).problem)
    #expect(problem.code == "type-mismatch")
    #expect(problem.retry == .never)
    #expect(problem.detail == "Column size wants int64.")
    #expect(problem.operation == 3)
    #expect(problem.requestID == "00c0ffee")
  }

  @Test func anErrorWithoutAProblemIsStillOne() throws {
    let problem = try #require(ClientResponse(status: 503, body: Array("busy".utf8)).problem)
    #expect(problem.code == "http-503")
    #expect(problem.retry == .later)
    #expect(ClientResponse(status: 204).problem == nil)
  }
}
