// The "end" of iperf3's JSON: each stream as its two ends saw it, their sums, processors and congestion controls. A server does not know
// what its client counted when it prints; it says 0, as iperf3's does.
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3;

internal static class JsonSummary
{
    internal static void Write(JsonObject end, Iperf3Test test)
    {
        var p = test.Parameters;
        var streams = new JsonArray();
        foreach (var stream in test.Streams) streams.Add((JsonNode)(p.Udp ? new JsonObject { ["udp"] = Udp(test, stream) } : Tcp(test, stream)));
        end["streams"] = streams;
        TestStream[] forward = [.. test.Streams.Take(p.Parallel)], backward = [.. test.Streams.Skip(p.Parallel)];
        if (p.Udp) end["sum"] = UdpSum(test, forward);
        WriteSums(end, test, forward, "");
        if (p.Udp && backward.Length > 0) end["sum_bidir_reverse"] = UdpSum(test, backward);
        if (backward.Length > 0) WriteSums(end, test, backward, "_bidir_reverse");
        var (l, r) = (test.Processor, test.RemoteProcessor);
        end["cpu_utilization_percent"] = new JsonObject
        {
            ["host_total"] = l.Total, ["host_user"] = l.User, ["host_system"] = l.System,
            ["remote_total"] = r.Total, ["remote_user"] = r.User, ["remote_system"] = r.System,
        };
        if (test.Congestion is not { } own) return;
        var (sender, receiver) = test.HasSender ? (own, test.RemoteCongestion) : (test.RemoteCongestion, own);
        if (sender != null) end["sender_tcp_congestion"] = sender;
        if (receiver != null) end["receiver_tcp_congestion"] = receiver;
    }

    private static JsonObject Tcp(Iperf3Test test, TestStream stream)
    {
        var (sent, received, sentEnd, receivedEnd) = (SentBytes(stream), ReceivedBytes(stream), SentEnd(test, stream), ReceivedEnd(test, stream));
        var sender = JsonReport.Amounts(new JsonObject { ["socket"] = stream.Number }, 0, sentEnd, sent);
        if (stream.IsSender || test.RemoteHasRetransmits)
        {
            sender["retransmits"] = Retransmits(stream);
            sender["max_snd_cwnd"] = stream.CwndMax;
            sender["max_snd_wnd"] = stream.SendWindowMax;
            sender["max_rtt"] = stream.RttMax.Microseconds;
            sender["min_rtt"] = stream.RttMin.Microseconds;
            sender["mean_rtt"] = stream.RttMean.Microseconds;
        }
        sender["sender"] = stream.IsSender;
        var receiver = JsonReport.Amounts(new JsonObject { ["socket"] = stream.Number }, 0, receivedEnd, received);
        receiver["sender"] = stream.IsSender;
        return new JsonObject { ["sender"] = sender, ["receiver"] = receiver };
    }

    private static JsonObject Udp(Iperf3Test test, TestStream stream)
    {
        var json = JsonReport.Amounts(new JsonObject { ["socket"] = stream.Number }, 0, SentEnd(test, stream), SentBytes(stream));
        AddLoss(json, Jitter(stream), Lost(stream), stream.Packets);
        json["out_of_order"] = stream.OutOfOrder;
        json["sender"] = stream.IsSender;
        return json;
    }

    private static JsonObject UdpSum(Iperf3Test test, TestStream[] streams)
    {
        var json = JsonReport.Amounts([], 0, ReceivedEnd(test, streams[0]), streams.Sum(SentBytes));
        AddLoss(json, streams.Average(Jitter), streams.Sum(Lost), streams.Sum(static s => s.Packets));
        json["sender"] = streams[0].IsSender;
        return json;
    }

    private static void WriteSums(JsonObject end, Iperf3Test test, TestStream[] streams, string suffix)
    {
        var first = streams[0];
        var sent = JsonReport.Amounts([], 0, SentEnd(test, first), streams.Sum(SentBytes));
        var received = JsonReport.Amounts([], 0, ReceivedEnd(test, first), streams.Sum(ReceivedBytes));
        if (test.Parameters.Udp)
        {
            AddLoss(sent, 0, 0, streams.Sum(static s => s.IsSender ? s.Packets : s.Result?.Packets ?? 0));
            AddLoss(received, streams.Average(Jitter), streams.Sum(Lost), streams.Sum(static s => s.IsSender ? s.Result?.Packets ?? 0 : s.Packets));
            sent["sender"] = true;
            received["sender"] = false;
        }
        else
        {
            if (first.IsSender || test.RemoteHasRetransmits) sent["retransmits"] = streams.Sum(Retransmits);
            sent["sender"] = first.IsSender;
            received["sender"] = first.IsSender;
        }
        end["sum_sent" + suffix] = sent;
        end["sum_received" + suffix] = received;
    }

    private static void AddLoss(JsonObject json, double jitterSeconds, long lost, long packets)
    {
        json["jitter_ms"] = jitterSeconds * 1e3;
        json["lost_packets"] = lost;
        json["packets"] = packets;
        json["lost_percent"] = packets > 0 ? 100.0 * lost / packets : 0;
    }

    private static long SentBytes(TestStream s) => s.IsSender ? s.Bytes : s.Result?.Bytes ?? 0;

    private static long ReceivedBytes(TestStream s) => s.IsSender ? s.Result?.Bytes ?? 0 : s.Bytes;

    private static long Retransmits(TestStream s) => s.IsSender ? s.Retransmits : Math.Max(0, s.Result?.Retransmits ?? 0);

    private static double Jitter(TestStream s) => s.IsSender ? s.Result?.JitterSeconds ?? 0 : s.JitterSeconds;

    private static long Lost(TestStream s) => s.IsSender ? s.Result?.Lost ?? 0 : s.Lost;

    private static double SentEnd(Iperf3Test test, TestStream s) => s.IsSender ? test.Seconds : s.Result?.EndTime ?? test.Seconds;

    private static double ReceivedEnd(Iperf3Test test, TestStream s) => s.IsSender ? s.Result?.EndTime ?? test.Seconds : test.Seconds;
}
