// What a sender does otherwise than the RFCs' plain ways, a bit for each setting that switches it on (TcpSettings.PacketSender and those that it names).
// A connection's are resolved when it begins: those that need its history are bits of that, the others of its TCB, so that each place asks one bit.
namespace Peregrine.Core.Tcp.Recovery;

/// <summary>Mechanisms of a sender.</summary>
[Flags]
internal enum SenderMechanisms : ushort
{
    None = 0,

    /// <summary><see cref="TcpSettings.HalfWindowMss"/>.</summary>
    HalfWindowMss = 1,

    /// <summary><see cref="TcpSettings.PacketWindow"/>.</summary>
    PacketWindow = 2,

    /// <summary><see cref="TcpSettings.CountedDuplicates"/>.</summary>
    CountedDuplicates = 4,

    /// <summary><see cref="TcpSettings.JoinsWholeRetransmissions"/>.</summary>
    JoinsWholeRetransmissions = 8,

    /// <summary><see cref="TcpSettings.WindowToEdge"/>.</summary>
    WindowToEdge = 0x10,

    /// <summary><see cref="TcpSettings.ProbeTimerStays"/>.</summary>
    ProbeTimerStays = 0x20,

    /// <summary>Those that a TCB has bits for.</summary>
    OfTcb = 0x3F,

    /// <summary><see cref="TcpSettings.PacketCubic"/>.</summary>
    PacketCubic = 0x80,

    /// <summary><see cref="TcpSettings.RoundTripPerAck"/>.</summary>
    RoundTripPerAck = 0x100,

    /// <summary><see cref="TcpSettings.WindowUsePerWindow"/>.</summary>
    WindowUsePerWindow = 0x200,

    /// <summary><see cref="TcpSettings.WriteRuns"/>.</summary>
    WriteRuns = 0x400,

    /// <summary><see cref="TcpSettings.GathersSegments"/>.</summary>
    GathersSegments = 0x800,

    /// <summary><see cref="TcpSettings.PacingHeadStart"/>.</summary>
    PacingHeadStart = 0x1000,

    /// <summary><see cref="TcpSettings.PacketReceiver"/>: the receiver's half, which is remembered beside the sender's.</summary>
    PacketReceiver = 0x2000,

    /// <summary>Those that need a <see cref="SenderHistory"/>.</summary>
    OfHistory = PacketCubic | RoundTripPerAck | WindowUsePerWindow | WriteRuns | GathersSegments | PacingHeadStart | PacketReceiver,
}

internal static class SenderMechanismsOf
{
    /// <summary>What a connection's settings switch on.</summary>
    internal static SenderMechanisms Settings(TcpSettings s) => !s.PacketSender
        ? SenderMechanisms.None
        : (s.HalfWindowMss ? SenderMechanisms.HalfWindowMss : 0)
            | (s.PacketWindow ? SenderMechanisms.PacketWindow : 0)
            | (s.CountedDuplicates ? SenderMechanisms.CountedDuplicates : 0)
            | (s.JoinsWholeRetransmissions ? SenderMechanisms.JoinsWholeRetransmissions : 0)
            | (s.WindowToEdge ? SenderMechanisms.WindowToEdge : 0)
            | (s.ProbeTimerStays ? SenderMechanisms.ProbeTimerStays : 0)
            | (s.PacketCubic ? SenderMechanisms.PacketCubic : 0)
            | (s.RoundTripPerAck ? SenderMechanisms.RoundTripPerAck : 0)
            | (s.WindowUsePerWindow ? SenderMechanisms.WindowUsePerWindow : 0)
            | (s.WriteRuns ? SenderMechanisms.WriteRuns : 0)
            | (s.GathersSegments ? SenderMechanisms.GathersSegments : 0)
            | (s.PacingHeadStart ? SenderMechanisms.PacingHeadStart : 0)
            | (s.PacketReceiver ? SenderMechanisms.PacketReceiver : 0);
}
