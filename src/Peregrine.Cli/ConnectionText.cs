// Two lines about a connection in the manner of "ss -ti": addresses and queues, then what the kernel's tcp_info would say, by ss's words.
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Peregrine.Cli;

internal static class ConnectionText
{
    internal static string Heading { get; } = Line("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port");

    private static readonly Dictionary<string, string> s_states = new(StringComparer.Ordinal)
    {
        ["Established"] = "ESTAB",
        ["SynSent"] = "SYN-SENT",
        ["SynReceived"] = "SYN-RECV",
        ["FinWait1"] = "FIN-WAIT-1",
        ["FinWait2"] = "FIN-WAIT-2",
        ["CloseWait"] = "CLOSE-WAIT",
        ["LastAck"] = "LAST-ACK",
        ["Closing"] = "CLOSING",
        ["TimeWait"] = "TIME-WAIT",
        ["Listen"] = "LISTEN",
    };

    internal static string FirstLine(JsonElement connection)
    {
        var state = connection.GetProperty("state").GetString()!;
        // As ss: of a listener how many wait, and how many may.
        var (received, sent) = state switch
        {
            "Listen" => (Number(connection, "waitingCount"), Number(connection, "backlog")),
            "TimeWait" => (0, 0),
            "SynReceived" when connection.TryGetProperty("leftMs", out _) => (0, 0),
            _ => (Number(connection, "unreadBytes"), Number(connection, "flightSizeBytes") + Number(connection, "unsentBytes")),
        };
        return Line(
            s_states.GetValueOrDefault(state, state), received.ToString(CultureInfo.InvariantCulture), sent.ToString(CultureInfo.InvariantCulture),
            connection.GetProperty("local").GetString()!, connection.GetProperty("remote").GetString()!);
    }

    /// <summary>The second line; null of what is no connection.</summary>
    internal static string? Details(JsonElement connection)
    {
        if (connection.TryGetProperty("waitingCount", out _)) return null;
        if (connection.TryGetProperty("leftMs", out var left))
        {
            var (timer, retries) = connection.TryGetProperty("retries", out var count) ? ("on", count.GetInt32()) : ("timewait", 0);
            return string.Create(CultureInfo.InvariantCulture, $"\t timer:({timer},{left.GetInt64() / 1_000.0:0.#}sec,{retries})");
        }
        var text = new StringBuilder("\t");
        foreach (var (name, word) in ((string, string)[])[("timestamps", "ts"), ("sack", "sack"), ("ecn", "ecn")])
        {
            if (connection.GetProperty(name).GetBoolean()) text.Append(' ').Append(word);
        }
        var mss = Math.Max(Number(connection, "sendMssBytes"), 1);
        text.Append(' ').Append(connection.GetProperty("congestionControl").GetString());
        text.Append(CultureInfo.InvariantCulture, $" wscale:{Number(connection, "sendScale")},{Number(connection, "receiveScale")} rto:{Number(connection, "rtoMs")}");
        if (Number(connection, "backoff") > 0) text.Append(CultureInfo.InvariantCulture, $" backoff:{Number(connection, "backoff")}");
        text.Append(CultureInfo.InvariantCulture, $" rtt:{Ms(connection, "smoothedRttUs")}/{Ms(connection, "rttVariationUs")} mss:{mss} rcvmss:{Number(connection, "receiveMssBytes")}");
        text.Append(CultureInfo.InvariantCulture, $" cwnd:{Number(connection, "congestionWindowBytes") / mss}");
        if (connection.TryGetProperty("slowStartThresholdBytes", out var threshold)) text.Append(CultureInfo.InvariantCulture, $" ssthresh:{threshold.GetInt64() / mss}");
        Sum(text, connection, "bytes_acked", "bytesAcknowledged");
        Sum(text, connection, "bytes_received", "bytesReceived");
        Sum(text, connection, "segs_out", "segmentsSent");
        Sum(text, connection, "segs_in", "segmentsReceived");
        Rates(text, connection);
        Sum(text, connection, "unacked", "flightSizeBytes", mss);
        Sum(text, connection, "retrans", "segmentsRetransmitted");
        if (connection.GetProperty("reorderingSeen").GetBoolean()) text.Append(" reord_seen");
        Sum(text, connection, "rcv_ooopack_bytes", "outOfOrderBytes");
        Sum(text, connection, "snd_wnd", "sendWindowBytes");
        Sum(text, connection, "rcv_wnd", "receiveWindowBytes");
        Sum(text, connection, "notsent", "unsentBytes");
        if (Number(connection, "minimumRttUs") > 0) text.Append(CultureInfo.InvariantCulture, $" minrtt:{Ms(connection, "minimumRttUs")}");
        return text.ToString();
    }

    // ss's "send": a window a round trip.
    private static void Rates(StringBuilder text, JsonElement connection)
    {
        var rtt = Number(connection, "smoothedRttUs");
        if (rtt > 0) text.Append(" send ").Append(Rate(8.0 * Number(connection, "congestionWindowBytes") * 1_000_000 / rtt));
        if (connection.TryGetProperty("pacingBytesPerSecond", out var pacing)) text.Append(" pacing_rate ").Append(Rate(8.0 * pacing.GetDouble()));
    }

    private static string Rate(double bitsPerSecond) => bitsPerSecond switch
    {
        >= 1e9 => string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond / 1e9:0.##}Gbps"),
        >= 1e6 => string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond / 1e6:0.##}Mbps"),
        >= 1e3 => string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond / 1e3:0.##}Kbps"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond:0}bps"),
    };

    // As ss: what is zero is not mentioned.
    private static void Sum(StringBuilder text, JsonElement connection, string word, string name, long unit = 1)
    {
        var value = (Number(connection, name) + unit - 1) / unit;
        if (value > 0) text.Append(CultureInfo.InvariantCulture, $" {word}:{value}");
    }

    private static long Number(JsonElement connection, string name) => connection.GetProperty(name).GetInt64();

    private static string Ms(JsonElement connection, string name) => (Number(connection, name) / 1000.0).ToString("0.###", CultureInfo.InvariantCulture);

    private static string Line(string state, string received, string sent, string local, string remote) => $"{state,-11}{received,-8}{sent,-8}{local,-30} {remote}";
}
