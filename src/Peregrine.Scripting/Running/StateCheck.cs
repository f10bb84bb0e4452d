// Shell lines that count connections by state ("sockstat … | grep -c TIME_WAIT | grep 1"), answered by the stack itself.
using System.Globalization;
using Peregrine.Core.Tcp;
using Peregrine.Posix;

namespace Peregrine.Scripting.Running;

internal static class StateCheck
{
    internal static bool Is(string command) => command.TrimStart().StartsWith("sockstat ", StringComparison.Ordinal);

    internal static void Run(IScriptWorld world, string command)
    {
        var words = command.Split([' ', '|'], StringSplitOptions.RemoveEmptyEntries);
        var counted = Array.IndexOf(words, "-c");
        if (counted < 0 || counted + 1 >= words.Length || !int.TryParse(words[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var wanted))
            throw new NotApplicableException($"the shell line '{command}' is not understood");
        var state = words[counted + 1];
        var seen = world.CountIn(state) ?? throw new NotApplicableException($"the state {state} is not understood");
        if (seen != wanted) throw new ScriptFailedException($"{seen} connections are in {state}, not {wanted}");
    }

    internal static int? Count(ScriptWorld world, string state) => state switch
    {
        "TIME_WAIT" => world.Stack.Tcp.TimeWaitCount,
        "SYN_RCVD" => world.Stack.Tcp.SynBacklogCount + CountConnections(world, TcpState.SynReceived),
        "SYN_SENT" => CountConnections(world, TcpState.SynSent),
        "ESTABLISHED" => CountConnections(world, TcpState.Established),
        "FIN_WAIT_1" => CountConnections(world, TcpState.FinWait1),
        "FIN_WAIT_2" => CountConnections(world, TcpState.FinWait2),
        "CLOSE_WAIT" => CountConnections(world, TcpState.CloseWait),
        "CLOSING" => CountConnections(world, TcpState.Closing),
        "LAST_ACK" => CountConnections(world, TcpState.LastAck),
        "LISTEN" => world.Stack.Tcp.ListenerCount,
        "CLOSED" => world.Sockets.All.Count(s => s.Kind == PosixKind.Tcp && IsClosed(world, s)),
        _ => null,
    };

    private static bool IsClosed(ScriptWorld world, PosixSocket s) =>
        s.Phase == PosixPhase.Fresh || (s.Phase != PosixPhase.Listening && world.Stack.Tcp.GetStatus(s.Connection).State == TcpState.Closed);

    private static int CountConnections(ScriptWorld world, TcpState state)
    {
        var count = 0;
        for (var slot = 0; slot < world.Stack.Tcp.SlotCount; slot++)
        {
            if (world.Stack.Tcp.TryGetHandle(slot, out var handle) && world.Stack.Tcp.TryGetInfo(handle, world.Now, out var info) && info.State == state) count++;
        }
        return count;
    }
}
