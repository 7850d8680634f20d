import Domain
import HTTPTypes
import Hummingbird
import NIOHTTP1
import Runtime

/// What a request must be to become a device's socket (RFC 6455 §4.2.1, and our subprotocol).
enum DeviceHandshake {
    static let path = "/devices/connect"
    static let subprotocol = "hsafa.device.v1"

    static func isValid(_ head: HTTPRequestHead) -> Bool {
        let headers = head.headers
        return head.method == .GET && head.version == .http1_1 && isPath(head.uri)
            && headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
            && headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && headers["sec-websocket-version"] == ["13"] && headers["sec-websocket-key"].count == 1
            && isKey(headers.first(name: "sec-websocket-key") ?? "")
            && headers[canonicalForm: "sec-websocket-protocol"].contains { $0 == subprotocol }
            && !headers.contains(name: "transfer-encoding") && headers["content-length"].allSatisfy { $0 == "0" }
    }

    static func isPath(_ uri: String) -> Bool { uri.prefix { $0 != "?" } == path }

    /// 16 bytes in base64.
    static func isKey(_ key: String) -> Bool {
        let bytes = Array(key.utf8)
        return bytes.count == 24 && bytes.suffix(2).elementsEqual("==".utf8)
            && bytes.dropLast(2).allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "+")
                    || byte == UInt8(ascii: "/")
            }
    }
}

/// `GET /devices/connect` that cannot become a socket: says what is missing.
struct RefuseDeviceHandshake: OpenOperation {
    init(gateway: Gateway) {}

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        let headers = request.headers
        let hasVersion = headers[.secWebSocketVersion] == "13"
        guard hasVersion, headers[.secWebSocketKey] != nil else {
            let detail = "This is a WebSocket (RFC 6455, version 13): connect with the subprotocol \(DeviceHandshake.subprotocol)."
            let error = GatewayError(status: 426, code: "upgrade_required", detail: detail)
            var response = Problem(error, requestID: context.requestID).response()
            response.headers[.upgrade] = "websocket"
            response.headers[.secWebSocketVersion] = "13"
            return response
        }
        let offered = headers[values: .secWebSocketProtocol].flatMap { $0.split(separator: ",") }
        guard offered.contains(where: { $0.drop { $0 == " " }.prefix { $0 != " " } == DeviceHandshake.subprotocol }) else {
            throw GatewayError(
                status: 400, code: "subprotocol_required",
                detail: "Offer the subprotocol \(DeviceHandshake.subprotocol) in Sec-WebSocket-Protocol.")
        }
        throw GatewayError(
            status: 400, code: "invalid_handshake",
            detail: "This is no WebSocket handshake (RFC 6455 §4.1), or not the first request of its connection; open a new one.")
    }
}
