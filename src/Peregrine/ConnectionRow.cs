// A connection as the control socket tells it: one JSON object, every number with its unit in the name.
using System.Net.Sockets;
using System.Text.Json;
using Peregrine.Core.Tcp;

namespace Peregrine;

internal static class ConnectionRow
{
    internal static void Write(Utf8JsonWriter json, in TcpInfo info)
    {
        json.WriteStartObject();
        json.WriteString("local", info.Local.ToString());
        json.WriteString("remote", info.State == TcpState.Listen ? "*:*" : info.Remote.ToString());
        json.WriteString("state", info.State.ToString());
        if (info.CongestionControl.Length == 0)
        {
            WithoutConnection(json, info);
            return;
        }
        Negotiated(json, info);
        Time(json, info);
        json.WriteString("congestionControl", info.CongestionControl);
        json.WriteNumber("congestionWindowBytes", info.CongestionWindow);
        if (info.SlowStartThreshold != uint.MaxValue) json.WriteNumber("slowStartThresholdBytes", info.SlowStartThreshold);
        if (info.PacingBytesPerSecond != 0) json.WriteNumber("pacingBytesPerSecond", info.PacingBytesPerSecond);
        if (info.PacingBytesPerSecondMax != 0) json.WriteNumber("pacingBytesPerSecondMax", info.PacingBytesPerSecondMax);
        json.WriteNumber("flightSizeBytes", info.FlightSize);
        json.WriteNumber("segmentsInFlight", info.SegmentsInFlight);
        json.WriteNumber("sackedBytes", info.SackedBytes);
        json.WriteNumber("lostBytes", info.LostBytes);
        json.WriteNumber("retransmittedBytes", info.RetransmittedBytes);
        json.WriteNumber("probes", info.Probes);
        json.WriteNumber("sendWindowBytes", info.SendWindow);
        json.WriteNumber("receiveWindowBytes", info.ReceiveWindow);
        json.WriteNumber("sendBufferBytes", info.SendBuffer);
        json.WriteNumber("receiveBufferBytes", info.ReceiveBuffer);
        json.WriteNumber("unsentBytes", info.UnsentBytes);
        json.WriteNumber("unreadBytes", info.UnreadBytes);
        json.WriteNumber("outOfOrderBytes", info.OutOfOrderBytes);
        json.WriteNumber("bytesReceived", info.BytesReceived);
        json.WriteNumber("bytesAcknowledged", info.BytesAcknowledged);
        json.WriteNumber("segmentsReceived", info.SegmentsReceived);
        json.WriteNumber("segmentsSent", info.SegmentsSent);
        json.WriteNumber("segmentsRetransmitted", info.SegmentsRetransmitted);
        if (info.SoftError != SocketError.Success) json.WriteString("softError", info.SoftError.ToString());
        if (info.AccurateEcnCounters is { } ecn) AccurateEcn(json, ecn);
        if (info.Details is { } details) Details(json, details);
        json.WriteEndObject();
    }

    // ControlAnswers puts into the record what there is.
    private static void WithoutConnection(Utf8JsonWriter json, in TcpInfo info)
    {
        if (info.State == TcpState.Listen)
        {
            json.WriteNumber("waitingCount", info.UnreadBytes);
            json.WriteNumber("backlog", info.UnsentBytes);
        }
        else
        {
            json.WriteNumber("leftMs", info.Rto.Milliseconds);
            if (info.State == TcpState.SynReceived) json.WriteNumber("retries", info.Backoff);
        }
        json.WriteEndObject();
    }

    private static void Negotiated(Utf8JsonWriter json, in TcpInfo info)
    {
        json.WriteBoolean("timestamps", info.Timestamps);
        json.WriteBoolean("sack", info.Sack);
        json.WriteBoolean("ecn", info.Ecn);
        json.WriteBoolean("accurateEcn", info.AccurateEcn);
        json.WriteBoolean("fastOpened", info.FastOpened);
        json.WriteString("senderState", info.SenderState.ToString());
        json.WriteBoolean("reorderingSeen", info.ReorderingSeen);
        json.WriteNumber("sendScale", info.SendScale);
        json.WriteNumber("receiveScale", info.ReceiveScale);
        json.WriteNumber("sendMssBytes", info.SendMss);
        json.WriteNumber("receiveMssBytes", info.ReceiveMss);
        json.WriteNumber("announcedMssBytes", info.AnnouncedMss);
        json.WriteNumber("pathMtuBytes", info.PathMtu);
    }

    private static void Time(Utf8JsonWriter json, in TcpInfo info)
    {
        json.WriteNumber("smoothedRttUs", info.SmoothedRtt.Microseconds);
        json.WriteNumber("rttVariationUs", info.RttVariation.Microseconds);
        json.WriteNumber("minimumRttUs", info.MinimumRtt.Microseconds);
        json.WriteNumber("rtoMs", info.Rto.Milliseconds);
        json.WriteNumber("backoff", info.Backoff);
        json.WriteNumber("receiveRttUs", info.ReceiveRtt.Microseconds);
        json.WriteNumber("delayedAckMs", info.DelayedAck.Milliseconds);
    }

    private static void AccurateEcn(Utf8JsonWriter json, in TcpAccurateEcnInfo ecn)
    {
        json.WriteStartObject("accurateEcnCounters");
        json.WriteNumber("markedSegmentsReceived", ecn.MarkedSegmentsReceived);
        json.WriteNumber("markedBytesReceived", ecn.MarkedBytesReceived);
        json.WriteNumber("ect0BytesReceived", ecn.Ect0BytesReceived);
        json.WriteNumber("ect1BytesReceived", ecn.Ect1BytesReceived);
        json.WriteNumber("markedSegmentsDelivered", ecn.MarkedSegmentsDelivered);
        json.WriteNumber("markedBytesDelivered", ecn.MarkedBytesDelivered);
        json.WriteNumber("ect0BytesDelivered", ecn.Ect0BytesDelivered);
        json.WriteNumber("ect1BytesDelivered", ecn.Ect1BytesDelivered);
        json.WriteBoolean("optionSeen", ecn.OptionSeen);
        json.WriteString("failures", ecn.Failures.ToString());
        json.WriteEndObject();
    }

    private static void Details(Utf8JsonWriter json, in TcpInfoDetails details)
    {
        json.WriteStartObject("details");
        json.WriteNumber("sinceDataSentMs", details.SinceDataSent.Milliseconds);
        json.WriteNumber("sinceDataReceivedMs", details.SinceDataReceived.Milliseconds);
        json.WriteNumber("sinceAckReceivedMs", details.SinceAckReceived.Milliseconds);
        json.WriteNumber("busyMs", details.BusyTime.Milliseconds);
        json.WriteNumber("receiveWindowLimitedMs", details.ReceiveWindowLimited.Milliseconds);
        json.WriteNumber("sendBufferLimitedMs", details.SendBufferLimited.Milliseconds);
        json.WriteNumber("bytesSent", details.BytesSent);
        json.WriteNumber("bytesRetransmitted", details.BytesRetransmitted);
        json.WriteNumber("dataSegmentsSent", details.DataSegmentsSent);
        json.WriteNumber("dataSegmentsReceived", details.DataSegmentsReceived);
        json.WriteNumber("outOfOrderSegments", details.OutOfOrderSegments);
        json.WriteNumber("deliveredSegments", details.DeliveredSegments);
        json.WriteNumber("markedSegmentsDelivered", details.MarkedSegmentsDelivered);
        json.WriteNumber("deliveryBytesPerSecond", details.DeliveryBytesPerSecond);
        json.WriteBoolean("isDeliveryAppLimited", details.IsDeliveryAppLimited);
        json.WriteNumber("duplicatesReported", details.DuplicatesReported);
        json.WriteNumber("reordering", details.Reordering);
        json.WriteNumber("reorderingEvents", details.ReorderingEvents);
        json.WriteNumber("timeouts", details.Timeouts);
        json.WriteNumber("timeoutEpisodes", details.TimeoutEpisodes);
        json.WriteNumber("timeoutMs", details.TimeoutTime.Milliseconds);
        json.WriteBoolean("ecnSeen", details.EcnSeen);
        if (details.FastOpenFailure != TcpFastOpenFailure.None) json.WriteString("fastOpenFailure", details.FastOpenFailure.ToString());
        json.WriteEndObject();
    }
}
