// Which states a connection may have come to since it was last looked at: by the moves of RFC 9293 §3.3.2, one or several in a turn. Written apart from
// the stack's own table, so that a mistake there is none here.
using Peregrine.Core.Tcp;

namespace Peregrine.Simulation.Judges;

internal static class StateMoves
{
    /// <summary>Whether a connection that is not over may get from one state to another, or stay in it.</summary>
    public static bool MayReach(TcpState from, TcpState to) => from == to || from switch
    {
        TcpState.SynSent => true,
        TcpState.SynReceived => to >= TcpState.Established,
        TcpState.Established => to > TcpState.Established,
        TcpState.FinWait1 => to is TcpState.FinWait2 or TcpState.Closing or TcpState.TimeWait,
        TcpState.FinWait2 or TcpState.Closing => to == TcpState.TimeWait,
        TcpState.CloseWait => to == TcpState.LastAck,
        _ => false,
    };
}
