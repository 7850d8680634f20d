import Testing

/// `openapi.yaml` and the route table say the same, both ways.
struct RouteTests {
    struct Operation: Hashable, CustomStringConvertible {
        let method: String
        let path: String
        let operationID: String
        /// nil: public; `admin`: for the platform's admins.
        let scope: String?

        var description: String { "\(method) \(path) \(operationID) \(scope ?? "public")" }
    }

    /// `agentsRead` → `agents:read`, from the cases of Scope.
    static func scopes() throws -> [String: String] {
        let source = try #require(SourceTree.read("Sources/Domain/Identity/Scope.swift"))
        var scopes: [String: String] = [:]
        for line in source.split(separator: "\n") {
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
            let words = line.split(separator: " ")
            if words.count >= 4, words[0] == "case", words[2] == "=", parts.count == 3 { scopes[String(words[1])] = String(parts[1]) }
        }
        return scopes
    }

    private static func scope(_ text: String, in scopes: [String: String]) throws -> String {
        let known: String? = scopes[String(text.dropFirst())]
        return try #require(known, "\(text) is no case of Scope")
    }

    /// The entries of the route table, a line each: where the formatter broke one it begins with `Route(` alone.
    static func entries(of source: String) -> [String] {
        var entries: [String] = []
        var isOpen = false
        for line in source.split(separator: "\n").map({ $0.drop { $0 == " " } }) {
            if line.hasPrefix("Route(") { entries.append("") } else if !isOpen { continue }
            entries[entries.count - 1] += line
            let entry = entries[entries.count - 1]
            isOpen = entry.count { $0 == "(" } > entry.count { $0 == ")" }
        }
        return entries
    }

    static func routes(_ source: String) throws -> Set<Operation> {
        let scopes = try scopes()
        // A path may be a named constant of the module.
        var constants: [String: String] = [:]
        for file in try SourceTree.sources.get() where file.module == "GatewayHTTP" {
            for line in file.lines where line.has("static let path = \"") {
                constants[file.name.replacing(".swift", with: "") + ".path"] = line.split(separator: "\"").dropFirst().first.map(
                    String.init)
            }
        }
        var found: Set<Operation> = []
        for line in entries(of: source) {
            let (isOpen, isAdmin) = (line.contains("Route(open: "), line.contains("Route(admin: "))
            let arguments = line.drop { $0 != "(" }.dropFirst().split(separator: ",").map { $0.drop { $0 == " " } }
            let fields = arguments.map {
                String($0).replacing("open: ", with: "").replacing("admin: ", with: "").replacing("\"", with: "")
            }
            try #require(fields.count >= 4, "\(line)")
            let scope = isOpen ? nil : isAdmin ? "admin" : try scope(fields[2], in: scopes)
            found.insert(
                Operation(
                    method: String(fields[0].dropFirst()), path: constants[fields[1]] ?? fields[1],
                    operationID: fields[isOpen || isAdmin ? 2 : 3],
                    scope: scope))
        }
        return found
    }

    /// By indentation: `paths:` at the margin, paths below it, methods below them, and their own fields one step deeper.
    static func described(_ yaml: String) -> Set<Operation> {
        let methods: Set<String> = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]
        var found: Set<Operation> = []
        var isInPaths = false
        var path = ""
        var current: (method: String, id: String, scope: String?)?
        func indentation(_ line: Substring) -> Int { line.prefix { $0 == " " }.count }
        func value(_ line: Substring) -> String {
            let text = line.drop { $0 != ":" }.dropFirst().split(separator: " #").first ?? ""
            return text.filter { $0 != "\"" && $0 != "'" && $0 != " " }
        }
        func close() {
            if let operation = current, !operation.id.isEmpty {
                found.insert(Operation(method: operation.method, path: path, operationID: operation.id, scope: operation.scope))
            }
            current = nil
        }
        for line in yaml.split(separator: "\n") where !line.drop(while: { $0 == " " }).hasPrefix("#") {
            let depth = indentation(line)
            let key = line.drop { $0 == " " }.prefix { $0 != ":" }.filter { $0 != "\"" && $0 != "'" }
            switch depth {
            case 0:
                close()
                isInPaths = key == "paths"
            case 2 where isInPaths:
                close()
                path = key
            case 4 where isInPaths:
                close()
                if methods.contains(key) { current = (key, "", nil) }
            case 6 where isInPaths:
                if key == "operationId" { current?.id = value(line) }
                if key == "x-required-scope" { current?.scope = value(line) }
            default: break
            }
        }
        close()
        return found
    }

    @Test func `the description and the route table name the same operations`() throws {
        let source = try #require(SourceTree.read("Sources/GatewayHTTP/Routes.swift"))
        let routes = try Self.routes(source)
        #expect(routes.count == source.ranges(of: "Route(").count - source.ranges(of: "[Route(").count)
        #expect(Set(routes.map(\.operationID)).count == routes.count)
        guard let yaml = SourceTree.read("openapi.yaml") else { return }
        let described = Self.described(yaml)
        for missing in routes.subtracting(described).map(\.description).sorted() { Issue.record("openapi.yaml lacks \(missing)") }
        for unknown in described.subtracting(routes).map(\.description).sorted() { Issue.record("no route is \(unknown)") }
    }

    @Test func `a description is read by its indentation`() {
        let yaml = """
            openapi: 3.1.0
            paths:
              /health:
                get:
                  operationId: getHealth
                  responses:
                    "200":
                      description: Up.
              # a comment
              "/api/runs/{runId}":
                parameters:
                  - $ref: "#/components/parameters/runId"
                get:
                  operationId: getRun # as in the table
                  x-required-scope: "runs:read"
                delete:
                  x-required-scope: runs:write
                  operationId: dropRun
            components:
              schemas:
                get:
                  operationId: none
            """
        #expect(
            Self.described(yaml) == [
                Operation(method: "get", path: "/health", operationID: "getHealth", scope: nil),
                Operation(method: "get", path: "/api/runs/{runId}", operationID: "getRun", scope: "runs:read"),
                Operation(method: "delete", path: "/api/runs/{runId}", operationID: "dropRun", scope: "runs:write"),
            ])
    }
}
