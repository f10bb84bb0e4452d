// The states of RFC 9293 §3.3.2 and the one door through which a connection moves between them. LISTEN and a passive SYN-RECEIVED are
// records of other kinds (ListenerTable, SynBacklog), and so is TIME-WAIT (TimeWaitTable); they are states here for the tools.
using System.Diagnostics;

namespace Peregrine.Core.Tcp;

/// <summary>A connection's state (RFC 9293 §3.3.2).</summary>
public enum TcpState : byte
{
    /// <summary>No connection.</summary>
    Closed,

    /// <summary>Waiting for a connection request.</summary>
    Listen,

    /// <summary>SYN sent, none received.</summary>
    SynSent,

    /// <summary>SYN sent and received, not yet acknowledged.</summary>
    SynReceived,

    /// <summary>Open both ways.</summary>
    Established,

    /// <summary>FIN sent, not acknowledged.</summary>
    FinWait1,

    /// <summary>FIN acknowledged; the peer may still send.</summary>
    FinWait2,

    /// <summary>The peer has finished; we may still send.</summary>
    CloseWait,

    /// <summary>Both FINs sent, ours not acknowledged.</summary>
    Closing,

    /// <summary>The peer finished first; our FIN is not acknowledged.</summary>
    LastAck,

    /// <summary>Waiting for old segments to die.</summary>
    TimeWait,
}

/// <summary>The legal moves between states, as data.</summary>
internal static class TcpStates
{
    // One bit a target state, indexed by source: RFC 9293 §3.3.2 figure 5, with the moves to CLOSED by reset, abort or time-out.
    private static readonly ushort[] s_moves =
    [
        /* Closed      */ (ushort)(Bit(TcpState.SynSent) | Bit(TcpState.SynReceived) | Bit(TcpState.Established)),
        /* Listen      */ (ushort)(Bit(TcpState.SynReceived) | Bit(TcpState.SynSent) | Bit(TcpState.Closed)),
        /* SynSent     */ (ushort)(Bit(TcpState.SynReceived) | Bit(TcpState.Established) | Bit(TcpState.Closed)),
        /* SynReceived */ (ushort)(Bit(TcpState.Established) | Bit(TcpState.FinWait1) | Bit(TcpState.CloseWait) | Bit(TcpState.Listen) | Bit(TcpState.Closed)),
        /* Established */ (ushort)(Bit(TcpState.FinWait1) | Bit(TcpState.CloseWait) | Bit(TcpState.Closed)),
        /* FinWait1    */ (ushort)(Bit(TcpState.FinWait2) | Bit(TcpState.Closing) | Bit(TcpState.TimeWait) | Bit(TcpState.Closed)),
        /* FinWait2    */ (ushort)(Bit(TcpState.TimeWait) | Bit(TcpState.Closed)),
        /* CloseWait   */ (ushort)(Bit(TcpState.LastAck) | Bit(TcpState.Closed)),
        /* Closing     */ (ushort)(Bit(TcpState.TimeWait) | Bit(TcpState.Closed)),
        /* LastAck     */ (ushort)(Bit(TcpState.Closed)),
        /* TimeWait    */ (ushort)(Bit(TcpState.Closed)),
    ];

    /// <summary>Whether the state machine may move so.</summary>
    internal static bool IsLegal(TcpState from, TcpState to) => (s_moves[(int)from] & Bit(to)) != 0;

    /// <summary>Moves a connection; the only place where a state is written.</summary>
    internal static void Move(ref TcpState state, TcpState to)
    {
        Debug.Assert(IsLegal(state, to), "illegal state transition");
        state = to;
    }

    private static ushort Bit(TcpState state) => (ushort)(1 << (int)state);
}
