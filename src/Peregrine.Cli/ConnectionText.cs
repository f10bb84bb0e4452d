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
        // Undefined where the network keeps none: nothing of them is mentioned.
        connection.TryGetProperty("details", out var details);
        Words(text, connection, details);
        var mss = Math.Max(Number(connection, "sendMssBytes"), 1);
        text.Append(' ').Append(connection.GetProperty("congestionControl").GetString());
        text.Append(CultureInfo.InvariantCulture, $" wscale:{Number(connection, "sendScale")},{Number(connection, "receiveScale")} rto:{Number(connection, "rtoMs")}");
        Sum(text, connection, "backoff", "backoff");
        text.Append(CultureInfo.InvariantCulture, $" rtt:{Ms(connection, "smoothedRttUs")}/{Ms(connection, "rttVariationUs")}");
        Sum(text, connection, "ato", "delayedAckMs");
        text.Append(CultureInfo.InvariantCulture, $" mss:{mss} pmtu:{Number(connection, "pathMtuBytes")} rcvmss:{Number(connection, "receiveMssBytes")}");
        text.Append(CultureInfo.InvariantCulture, $" advmss:{Number(connection, "announcedMssBytes")} cwnd:{Number(connection, "congestionWindowBytes") / mss}");
        if (connection.TryGetProperty("slowStartThresholdBytes", out var threshold)) text.Append(CultureInfo.InvariantCulture, $" ssthresh:{threshold.GetInt64() / mss}");
        Sum(text, details, "bytes_sent", "bytesSent");
        Sum(text, details, "bytes_retrans", "bytesRetransmitted");
        Sum(text, connection, "bytes_acked", "bytesAcknowledged");
        Sum(text, connection, "bytes_received", "bytesReceived");
        Sum(text, connection, "segs_out", "segmentsSent");
        Sum(text, connection, "segs_in", "segmentsReceived");
        Sum(text, details, "data_segs_out", "dataSegmentsSent");
        Sum(text, details, "data_segs_in", "dataSegmentsReceived");
        Rates(text, connection, details);
        Flight(text, connection, mss);
        Sum(text, details, "dsack_dups", "duplicatesReported");
        if (Number(details, "reordering") != 3) Sum(text, details, "reordering", "reordering");
        if (Number(details, "reorderingEvents") > 0) Sum(text, details, "reord_seen", "reorderingEvents");
        else if (Flag(connection, "reorderingSeen")) text.Append(" reord_seen:1");
        if (Number(connection, "receiveRttUs") > 0) text.Append(CultureInfo.InvariantCulture, $" rcv_rtt:{Ms(connection, "receiveRttUs")}");
        Sum(text, connection, "rcv_space", "receiveBufferBytes");
        Sum(text, connection, "notsent", "unsentBytes");
        if (Number(connection, "minimumRttUs") > 0) text.Append(CultureInfo.InvariantCulture, $" minrtt:{Ms(connection, "minimumRttUs")}");
        Sum(text, details, "rcv_ooopack", "outOfOrderSegments");
        Sum(text, connection, "snd_wnd", "sendWindowBytes");
        Sum(text, connection, "rcv_wnd", "receiveWindowBytes");
        return text.ToString();
    }

    private static void Words(StringBuilder text, JsonElement connection, JsonElement details)
    {
        foreach (var (name, word) in ((string, string)[])[("timestamps", "ts"), ("sack", "sack"), ("ecn", "ecn")])
        {
            if (Flag(connection, name)) text.Append(' ').Append(word);
        }
        if (Flag(details, "ecnSeen") && Flag(connection, "ecn")) text.Append(" ecnseen");
        if (Flag(connection, "fastOpened")) text.Append(" fastopen");
    }

    private static void Flight(StringBuilder text, JsonElement connection, long mss)
    {
        Sum(text, connection, "unacked", "segmentsInFlight");
        var again = (Number(connection, "retransmittedBytes") + mss - 1) / mss;
        if (again > 0 || Number(connection, "segmentsRetransmitted") > 0) text.Append(CultureInfo.InvariantCulture, $" retrans:{again}/{Number(connection, "segmentsRetransmitted")}");
        Sum(text, connection, "lost", "lostBytes", mss);
        Sum(text, connection, "sacked", "sackedBytes", mss);
    }

    // ss's "send": a window a round trip.
    private static void Rates(StringBuilder text, JsonElement connection, JsonElement details)
    {
        var rtt = Number(connection, "smoothedRttUs");
        if (rtt > 0) text.Append(" send ").Append(Rate(8.0 * Number(connection, "congestionWindowBytes") * 1_000_000 / rtt));
        Sum(text, details, "lastsnd", "sinceDataSentMs");
        Sum(text, details, "lastrcv", "sinceDataReceivedMs");
        Sum(text, details, "lastack", "sinceAckReceivedMs");
        if (connection.TryGetProperty("pacingBytesPerSecond", out var pacing))
        {
            text.Append(" pacing_rate ").Append(Rate(8.0 * pacing.GetDouble()));
            if (connection.TryGetProperty("pacingBytesPerSecondMax", out var most)) text.Append('/').Append(Rate(8.0 * most.GetDouble()));
        }
        if (Number(details, "deliveryBytesPerSecond") > 0) text.Append(" delivery_rate ").Append(Rate(8.0 * Number(details, "deliveryBytesPerSecond")));
        Sum(text, details, "delivered", "deliveredSegments");
        Sum(text, details, "delivered_ce", "markedSegmentsDelivered");
        if (Flag(details, "isDeliveryAppLimited")) text.Append(" app_limited");
        var busy = Number(details, "busyMs");
        if (busy > 0) text.Append(CultureInfo.InvariantCulture, $" busy:{busy}ms");
        Share(text, details, "rwnd_limited", "receiveWindowLimitedMs", busy);
        Share(text, details, "sndbuf_limited", "sendBufferLimitedMs", busy);
    }

    private static void Share(StringBuilder text, JsonElement details, string word, string name, long busy)
    {
        var value = Number(details, name);
        if (value > 0) text.Append(CultureInfo.InvariantCulture, $" {word}:{value}ms({100.0 * value / Math.Max(busy, 1):0.0}%)");
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

    private static long Number(JsonElement from, string name) => from.ValueKind == JsonValueKind.Object ? from.GetProperty(name).GetInt64() : 0;

    private static bool Flag(JsonElement from, string name) => from.ValueKind == JsonValueKind.Object && from.GetProperty(name).GetBoolean();

    private static string Ms(JsonElement connection, string name) => (Number(connection, name) / 1000.0).ToString("0.###", CultureInfo.InvariantCulture);

    private static string Line(string state, string received, string sent, string local, string remote) => $"{state,-11}{received,-8}{sent,-8}{local,-30} {remote}";
}
