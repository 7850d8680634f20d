public import HsafaClient

extension HsafaClient {
    /// This client, with everything that comes to it held to the description. `report` is told, in the task that asked, what does not fit.
    public func held(to contract: Contract, _ report: @escaping @Sendable (String) -> Void) -> HsafaClient {
        var client = self
        client.onTraffic = { traffic in
            do {
                for violation in try contract.check(traffic) { report("openapi.yaml: \(violation)") }
            } catch { report("openapi.yaml cannot be asked: \(error)") }
        }
        return client
    }
}

extension Contract {
    func check(_ traffic: HsafaClient.Traffic) throws -> [String] {
        switch traffic {
        case .event(let name, let data): try check(event: name, data: data)
        case .answer(let exchange):
            try check(
                Exchange(
                    method: exchange.method, target: exchange.path, requestBody: exchange.requestBody, status: exchange.status,
                    headers: exchange.headers.map { ($0.name, $0.value) }, body: exchange.body))
        }
    }
}
