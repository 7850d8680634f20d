import Cryptography
import Domain
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// A file of the documentation page, read once at start: its bytes and their strong validator (RFC 9110 §8.8.3).
struct DocsFile: Sendable {
    /// The files that the page consists of, and nothing else: no path of the caller's ever reaches the file system.
    enum Name: String, CaseIterable, Sendable {
        case page = "index.html"
        case pageScript = "page.js"
        case pageStyle = "page.css"
        case icon = "icon.svg"
        case viewerScript = "swagger-ui-bundle.js"
        case viewerStyle = "swagger-ui.css"
        case licence = "LICENSE"

        /// Below the folder of the viewer.
        var path: String {
            switch self {
            case .page, .pageScript, .pageStyle, .icon: rawValue
            case .viewerScript, .viewerStyle, .licence: "swagger-ui/" + rawValue
            }
        }

        var contentType: String {
            switch self {
            case .page: "text/html; charset=utf-8"
            case .pageScript, .viewerScript: "text/javascript; charset=utf-8"
            case .pageStyle, .viewerStyle: "text/css; charset=utf-8"
            case .icon: "image/svg+xml"
            case .licence: "text/plain; charset=utf-8"
            }
        }
    }

    private let body: ByteBuffer
    private let headers: HTTPFields

    /// nil where the file cannot be read, is empty, or is over `Limits.maxDocsFileBytes`.
    init?(_ name: Name, in folder: String) {
        guard let bytes = FileManager.default.contents(atPath: folder + "/" + name.path), !bytes.isEmpty,
            bytes.count <= Limits.maxDocsFileBytes
        else { return nil }
        body = ByteBuffer(bytes: bytes)
        var headers: HTTPFields = [
            .contentType: name.contentType,
            .eTag: "\"\(Hex.encode(SHA256.hash(bytes).prefix(16)))\"",
            // Kept, and asked for again: a new version of the gateway never shows half of the old page.
            .cacheControl: "no-cache",
        ]
        if name == .page { headers[.contentSecurityPolicy] = Self.pagePolicy }
        self.headers = headers
    }

    /// Scripts and requests of this origin alone. The viewer sets inline styles (`style` attributes of its markup) and draws its icons from
    /// `data:` URLs of its own style sheet; it needs nothing else.
    static let pagePolicy = """
        default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'
        """

    /// 304 for whoever has these very bytes (RFC 9110 §13.1.2).
    func answer(_ request: Request) -> Response {
        guard !Self.isFresh(request.headers[.ifNoneMatch], headers[.eTag]) else {
            var short = headers
            short[.contentType] = nil
            return Response(status: .notModified, headers: short)
        }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    /// Weak comparison: proxies that compress make a validator weak.
    static func isFresh(_ condition: String?, _ tag: String?) -> Bool {
        guard let condition, let tag else { return false }
        return condition.split(separator: ",").contains { part in
            let candidate = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
            let text = String(candidate)
            return text == "*" || text == tag || text == "W/" + tag
        }
    }

    static let missing = GatewayError(
        status: 404, code: "docs_not_found", detail: "This gateway has no documentation page here; GET /openapi.yaml describes its API.")
}
