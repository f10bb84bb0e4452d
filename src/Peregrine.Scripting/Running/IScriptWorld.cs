// What a script plays against: a stack of ours in virtual time, or the running kernel in real time. The runner and the wire know no more.
using Peregrine.Core.Tcp;
using Peregrine.Posix;
using Peregrine.Scripting.Language;

namespace Peregrine.Scripting.Running;

/// <summary>The link and its clock: packets go in and come out, and time passes.</summary>
internal interface IScriptWorld : IDisposable
{
    ScriptSetup Setup { get; }

    /// <summary>Microseconds since the script started.</summary>
    long Microseconds { get; }

    /// <summary>How long an expectation that names no time waits.</summary>
    long AnyTimeMicroseconds { get; }

    /// <summary>What was sent and not looked at yet.</summary>
    Queue<SentPacket> Sent { get; }

    /// <summary>Called for everything that is sent, when it is.</summary>
    Action<SentPacket>? OnSent { get; set; }

    /// <summary>Called whenever something may have changed.</summary>
    Action? OnTurn { get; set; }

    void Deliver(byte[] packet);

    /// <summary>Lets everything happen that can happen now.</summary>
    void Pump();

    /// <summary>Lets time pass until a moment, or until something comes true.</summary>
    void AdvanceTo(long microseconds, Func<bool>? until = null);

    bool HasListener { get; }

    /// <summary>How many connections have a SYN and no more.</summary>
    int HalfOpenCount { get; }

    int TimeWaitCount { get; }

    /// <summary>How many sockets are in a state, by the name that netstat gives it; null for an unknown one.</summary>
    int? CountIn(string state);

    /// <summary>The state of a connection; null when there is none, or only a half-open one or one in TIME-WAIT.</summary>
    TcpState? StateOf(Flow flow);
}

/// <summary>The calls and settings of a system.</summary>
internal interface IScriptSystem
{
    /// <summary>What the last call gave back by reference, for the trace; whoever tells it takes it away.</summary>
    string? WasRead { get; set; }

    /// <summary>The port of the last socket that was bound.</summary>
    ushort? LastBoundPort { get; }

    /// <summary>How often a socket was told to listen: a SYN after that is for the new listener.</summary>
    int ListenCount { get; }

    /// <summary>A call, ready to be asked until it no longer blocks.</summary>
    Func<PosixResult> Start(CallEvent call);

    /// <summary>The result of a call, its descriptor under the script's own number.</summary>
    PosixResult Rename(CallEvent call, PosixResult result);

    /// <summary>What a name in Python stands for; null when that is not known.</summary>
    long? LookUp(string name);

    /// <summary>Runs a shell line.</summary>
    /// <param name="command">The line.</param>
    /// <param name="isUsed">Whether something other than shell lines came before it.</param>
    /// <param name="packetsFollow">Whether packets come after it.</param>
    void Shell(string command, bool isUsed, bool packetsFollow);
}
