// What a network is told, as one record: bound from .NET configuration, every setting with its unit in its name and a validated range.
using System.Net;
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine;

/// <summary>Settings of a network.</summary>
public sealed record PeregrineOptions
{
    /// <summary>A name for logs, metrics and the control socket: letters, digits, '-', '_' and '.', 1 to 64 characters. Default "peregrine".</summary>
    public string Name { get; init; } = "peregrine";

    /// <summary>Own addresses with prefix lengths: "192.0.2.2/24", "2001:db8::2/64".</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>Default gateways, the preferred one first; usually one a family.</summary>
    public IReadOnlyList<string> Gateways { get; init; } = [];

    /// <summary>Largest IP packet in bytes, 68 to 65,535, or 0 for the link's. Default 0.</summary>
    public int MtuBytes { get; init; }

    /// <summary>IPv6 addresses, routers and parameters are taken from router advertisements. Default false.</summary>
    public bool Autoconfigure { get; init; }

    /// <summary>
    /// The user that the whole process becomes, without any privilege, when link and memory are open and before the first frame is looked at;
    /// empty for none. Needs root and the Linux platform. Default empty.
    /// </summary>
    public string User { get; init; } = "";

    /// <summary>The processor that the core's thread is pinned to, 0 to 4,095, or -1 for none. Default -1.</summary>
    public int Cpu { get; init; } = -1;

    /// <summary>What the core does when there is nothing to do. Default <see cref="IdleMode.Adaptive"/>.</summary>
    public IdleMode Idle { get; init; } = IdleMode.Adaptive;

    /// <summary>With <see cref="IdleMode.Adaptive"/>: how long it looks on before it sleeps, in microseconds, 0 to 1,000,000. Default 50.</summary>
    public int SpinUs { get; init; } = 50;

    /// <summary>Where awaiting code goes on. Default <see cref="CompletionMode.Inline"/>: on the core's own thread.</summary>
    public CompletionMode CompletionMode { get; init; } = CompletionMode.Inline;

    /// <summary>Whether the core's thread has a synchronization context that brings every await back to it. Default false.</summary>
    public bool UseSynchronizationContext { get; init; }

    /// <summary>Whether memory is taken from huge pages where there are any. Default false.</summary>
    public bool HugePages { get; init; }

    /// <summary>Frames received in a turn at most, 1 to 1,024. Default 64.</summary>
    public int FramesPerTurnMax { get; init; } = 64;

    /// <summary>Commands from other threads done in a turn at most, 1 to 65,536. Default 256.</summary>
    public int CommandsPerTurnMax { get; init; } = 256;

    /// <summary>Socket events delivered in a turn at most, 1 to 65,536. Default 512.</summary>
    public int EventsPerTurnMax { get; init; } = 512;

    /// <summary>Records that the mailbox holds, a power of two from 64 to 1,048,576. Default 4,096. When it is full, posting threads wait.</summary>
    public int MailboxCount { get; init; } = 4_096;

    /// <summary>How long a stop waits for connections to finish before it resets them, in milliseconds, 0 to 600,000. Default 5,000.</summary>
    public int StopGraceMs { get; init; } = 5_000;

    /// <summary>How long a call-back may hold the core before the log names it, in milliseconds, 1 to 60,000, or 0 for no watchdog. Default 100.</summary>
    public int CallbackLimitMs { get; init; } = 100;

    /// <summary>How often the link is asked whether it is up, in milliseconds, 1 to 60,000. Default 250.</summary>
    public int LinkCheckMs { get; init; } = 250;

    /// <summary>
    /// Of every so many turns of the loop one is timed stage by stage, for the counters' group "profile" and <c>peregrine profile</c>; 0 to
    /// 1,000,000. Default 0: none. A timed turn takes nine readings of the clock more, about 30 ns each.
    /// </summary>
    public int ProfileEveryTurns { get; init; }

    /// <summary>
    /// The folder for logs of connections, a qlog file each, of those whose settings ask for one (<see cref="Core.Tcp.TcpSettings.EventLog"/>); empty for
    /// none. It is made where it is not; the user that the process becomes must be able to write there. Default empty.
    /// </summary>
    public string QlogDirectory { get; init; } = "";

    /// <summary>Bytes of a connection's log at most, 4,096 to 1,073,741,824; what comes after is left out. Default 16 MiB.</summary>
    public int QlogBytesMax { get; init; } = 16 << 20;

    /// <summary>Logs that are begun at most, 1 to 1,000,000; connections after these have none. Default 1,000.</summary>
    public int QlogFileCountMax { get; init; } = 1_000;

    /// <summary>
    /// Path of the control socket, "none" for none, or "auto" for NAME.sock in $XDG_RUNTIME_DIR/peregrine, or without that variable in
    /// /run/peregrine. Default "auto".
    /// </summary>
    public string ControlSocket { get; init; } = "auto";

    /// <summary>Names and their addresses, asked before the system's resolver.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Hosts { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>Whether names that are not in <see cref="Hosts"/> are asked of the system's resolver (over the kernel's network). Default true.</summary>
    public bool UseSystemResolver { get; init; } = true;

    /// <summary>Sizes, bounds and protocol settings of the stack.</summary>
    public StackOptions Stack { get; init; } = new();

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A setting is out of its range; the message names setting, value and range.</exception>
    /// <exception cref="ArgumentException">A text is not what it should be; the message names setting and value.</exception>
    public void Validate()
    {
        if (Name.Length is 0 or > 64 || Name.Any(static c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')) || Name.StartsWith('.'))
            throw new ArgumentException($"Name is \"{Name}\"; it must be 1 to 64 letters, digits, '-', '_' and '.', not beginning with '.'.", nameof(Name));
        if (MtuBytes != 0) Range(nameof(MtuBytes), MtuBytes, 68, 65_535);
        Range(nameof(Cpu), Cpu, -1, 4_095);
        Range(nameof(Idle), (int)Idle, (int)IdleMode.Adaptive, (int)IdleMode.Block);
        Range(nameof(CompletionMode), (int)CompletionMode, (int)CompletionMode.Default, (int)CompletionMode.ThreadPool);
        Range(nameof(SpinUs), SpinUs, 0, 1_000_000);
        Range(nameof(FramesPerTurnMax), FramesPerTurnMax, 1, 1_024);
        Range(nameof(CommandsPerTurnMax), CommandsPerTurnMax, 1, 65_536);
        Range(nameof(EventsPerTurnMax), EventsPerTurnMax, 1, 65_536);
        Range(nameof(MailboxCount), MailboxCount, 64, 1 << 20);
        if ((MailboxCount & (MailboxCount - 1)) != 0)
            throw new ArgumentOutOfRangeException(nameof(MailboxCount), MailboxCount, $"MailboxCount is {MailboxCount}; it must be a power of two from 64 to 1048576.");
        Range(nameof(StopGraceMs), StopGraceMs, 0, 600_000);
        if (CallbackLimitMs != 0) Range(nameof(CallbackLimitMs), CallbackLimitMs, 1, 60_000);
        Range(nameof(LinkCheckMs), LinkCheckMs, 1, 60_000);
        Range(nameof(ProfileEveryTurns), ProfileEveryTurns, 0, 1_000_000);
        Range(nameof(QlogBytesMax), QlogBytesMax, 4_096, 1 << 30);
        Range(nameof(QlogFileCountMax), QlogFileCountMax, 1, 1_000_000);
        if (string.IsNullOrWhiteSpace(ControlSocket))
            throw new ArgumentException("ControlSocket is empty; it must be a path, \"auto\" or \"none\".", nameof(ControlSocket));
        _ = ParseAddresses();
        _ = ParseGateways();
        _ = ParseHosts();
        Stack.Validate();
    }

    internal IReadOnlyList<InterfaceAddress> ParseAddresses()
    {
        var parsed = new List<InterfaceAddress>();
        foreach (var text in Addresses)
        {
            try
            {
                parsed.Add(InterfaceAddress.Parse(text));
            }
            catch (Exception e) when (e is FormatException or ArgumentException)
            {
                throw new ArgumentException($"Addresses has \"{text}\"; an entry must be an address with its prefix length, like 192.0.2.2/24 or 2001:db8::2/64.", nameof(Addresses), e);
            }
        }
        return parsed;
    }

    internal IReadOnlyList<IpAddress> ParseGateways() => Gateways.Select(static text => IpAddress.TryParse(text, out var address)
        ? address
        : throw new ArgumentException($"Gateways has \"{text}\"; an entry must be an address, like 192.0.2.1 or fe80::1.", nameof(Gateways))).ToList();

    internal IEnumerable<KeyValuePair<string, IPAddress[]>> ParseHosts() => Hosts.Select(static host => new KeyValuePair<string, IPAddress[]>(
        host.Key,
        host.Value.Select(text => IpAddress.TryParse(text, out var address)
            ? address.ToIPAddress()
            : throw new ArgumentException($"Hosts has \"{text}\" for \"{host.Key}\"; an entry must be an address, like 192.0.2.1.", nameof(Hosts))).ToArray())).ToList();

    private static void Range(string name, int value, int min, int max)
    {
        if (value < min || value > max) throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be from {min} to {max}.");
    }
}
