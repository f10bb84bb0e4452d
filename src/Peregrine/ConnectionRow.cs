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
        json.WriteNumber("flightSizeBytes", info.FlightSize);
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
        json.WriteBoolean("reorderingSeen", info.ReorderingSeen);
        json.WriteNumber("sendScale", info.SendScale);
        json.WriteNumber("receiveScale", info.ReceiveScale);
        json.WriteNumber("sendMssBytes", info.SendMss);
        json.WriteNumber("receiveMssBytes", info.ReceiveMss);
    }

    private static void Time(Utf8JsonWriter json, in TcpInfo info)
    {
        json.WriteNumber("smoothedRttUs", info.SmoothedRtt.Microseconds);
        json.WriteNumber("rttVariationUs", info.RttVariation.Microseconds);
        json.WriteNumber("minimumRttUs", info.MinimumRtt.Microseconds);
        json.WriteNumber("rtoMs", info.Rto.Milliseconds);
        json.WriteNumber("backoff", info.Backoff);
    }
}
