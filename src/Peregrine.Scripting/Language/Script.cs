// A script as read: options, an initial command, and events with their times. Plain values; what they mean is the runner's business.
namespace Peregrine.Scripting.Language;

/// <summary>A script that could be read.</summary>
/// <param name="Name">Its file's name.</param>
/// <param name="Options">The lines that start with two hyphens: name and value.</param>
/// <param name="Events">What happens, in order.</param>
internal sealed record Script(string Name, IReadOnlyList<KeyValuePair<string, string>> Options, IReadOnlyList<ScriptEvent> Events);

/// <summary>How an event's time is meant.</summary>
internal enum TimeKind
{
    /// <summary>From the script's start.</summary>
    Absolute,

    /// <summary>From the event before.</summary>
    Relative,

    /// <summary>Whenever it happens.</summary>
    Any,
}

/// <summary>When an event happens, in microseconds.</summary>
/// <param name="Kind">What the numbers count from.</param>
/// <param name="Start">The time, or the earliest.</param>
/// <param name="Latest">The latest, where a range was given.</param>
/// <param name="End">When a blocking call ends, where that was given; as seen from the same point as the start.</param>
internal readonly record struct EventTime(TimeKind Kind, long Start, long? Latest, long? End);

/// <summary>Something that a script does or expects.</summary>
/// <param name="Line">Line of the file, from 1.</param>
/// <param name="Time">When.</param>
internal abstract record ScriptEvent(int Line, EventTime Time);

/// <summary>A shell command between backquotes.</summary>
internal sealed record ShellEvent(int Line, EventTime Time, string Command, bool IsInitial) : ScriptEvent(Line, Time);

/// <summary>Python between %{ and }%.</summary>
internal sealed record CodeEvent(int Line, EventTime Time, string Text) : ScriptEvent(Line, Time);

/// <summary>A system call with the result that is expected of it.</summary>
/// <param name="Line">Line of the file.</param>
/// <param name="Time">When it starts, and ends if it blocks.</param>
/// <param name="Name">Its name.</param>
/// <param name="Arguments">What it is given, and for results by reference what is expected.</param>
/// <param name="Result">What it returns; an ellipsis or a question mark for anything.</param>
/// <param name="Errno">The error's name, where one is expected.</param>
internal sealed record CallEvent(int Line, EventTime Time, string Name, IReadOnlyList<ScriptValue> Arguments, ScriptValue Result, string? Errno)
    : ScriptEvent(Line, Time);

/// <summary>A packet that comes in, or is expected to go out.</summary>
internal sealed record PacketEvent(int Line, EventTime Time, bool IsInbound, ScriptPacket Packet) : ScriptEvent(Line, Time);

/// <summary>A value in a call.</summary>
internal abstract record ScriptValue
{
    /// <summary>As scripts write it.</summary>
    public sealed override string ToString() => this switch
    {
        Number number => $"{number.Value}",
        Text text => $"\"{text.Value}\"",
        Name name => name.Value,
        Or or => string.Join('|', or.Parts),
        List list => $"[{string.Join(", ", list.Items)}]",
        Struct s => $"{{{string.Join(", ", s.Fields.Select(static f => f.Key.Length == 0 ? $"{f.Value}" : $"{f.Key}={f.Value}"))}}}",
        Call call => $"{call.Function}({string.Join(", ", call.Arguments)})",
        _ => "...",
    };

    /// <summary>A number.</summary>
    internal sealed record Number(long Value) : ScriptValue;

    /// <summary>A string.</summary>
    internal sealed record Text(string Value) : ScriptValue;

    /// <summary>Three dots: the interpreter supplies it, or anything will do.</summary>
    internal sealed record Ellipsis : ScriptValue;

    /// <summary>A constant by its name.</summary>
    internal sealed record Name(string Value) : ScriptValue;

    /// <summary>Flags joined by bars.</summary>
    internal sealed record Or(IReadOnlyList<ScriptValue> Parts) : ScriptValue;

    /// <summary>Values between brackets.</summary>
    internal sealed record List(IReadOnlyList<ScriptValue> Items) : ScriptValue;

    /// <summary>Fields between braces; those without a name have an empty one.</summary>
    internal sealed record Struct(IReadOnlyList<KeyValuePair<string, ScriptValue>> Fields) : ScriptValue
    {
        internal ScriptValue? Get(string name) => Fields.FirstOrDefault(f => f.Key == name).Value;
    }

    /// <summary>A function in a value, as htons(80).</summary>
    internal sealed record Call(string Function, IReadOnlyList<ScriptValue> Arguments) : ScriptValue;
}

/// <summary>What is said of the IP header; null where nothing was said.</summary>
internal sealed record IpMarks
{
    internal static IpMarks None { get; } = new();

    /// <summary>The ECN bits, or -1 for either ECT.</summary>
    internal int? Ecn { get; init; }

    /// <summary>The whole traffic class.</summary>
    internal int? TrafficClass { get; init; }

    /// <summary>The code point of the traffic class, its upper six bits.</summary>
    internal int? Dscp { get; init; }

    internal int? FlowLabel { get; init; }

    /// <summary>TTL or hop limit.</summary>
    internal int? HopLimit { get; init; }
}

/// <summary>A packet as a script writes it.</summary>
internal abstract record ScriptPacket(IpMarks Ip);

/// <summary>A TCP segment. What is null was left out.</summary>
internal sealed record TcpPacketText(IpMarks Ip) : ScriptPacket(Ip)
{
    internal required string Flags { get; init; }

    internal long Seq { get; init; }

    internal int Length { get; init; }

    /// <summary>Sequence numbers marked with an exclamation mark are as on the wire.</summary>
    internal bool IsAbsolute { get; init; }

    /// <summary>Any sequence number will do, and it becomes the initial one.</summary>
    internal bool IsAnySeq { get; init; }

    internal long? Ack { get; init; }

    internal int? Window { get; init; }

    internal int? Urgent { get; init; }

    /// <summary>The options; null for any.</summary>
    internal IReadOnlyList<string>? Options { get; init; }

    /// <summary>From and to which port, where that was written.</summary>
    internal (int From, int To)? Ports { get; init; }

    /// <summary>UDP ports of the encapsulation, where one was written.</summary>
    internal (int From, int To)? Encapsulation { get; init; }

    /// <summary>The number of the key that seals it (PSP); 0 for clear text.</summary>
    internal uint PspSpi { get; init; }
}

/// <summary>A UDP datagram.</summary>
internal sealed record UdpPacketText(IpMarks Ip, int Length) : ScriptPacket(Ip)
{
    /// <summary>From and to which port, where that was written.</summary>
    internal (int From, int To)? Ports { get; init; }
}

/// <summary>An ICMP error about a segment.</summary>
internal sealed record IcmpPacketText(IpMarks Ip, string Type, string? Code, int? Mtu, long? Seq) : ScriptPacket(Ip)
{
    /// <summary>UDP ports of the quoted segment's encapsulation.</summary>
    internal (int From, int To)? Encapsulation { get; init; }

    internal bool QuotesUdp { get; init; }

    /// <summary>The identifier of an echo.</summary>
    internal int? Id { get; init; }

    internal int Length { get; init; }
}
