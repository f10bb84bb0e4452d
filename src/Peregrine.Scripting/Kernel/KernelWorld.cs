// The running kernel behind a TUN device in a network namespace of its own: real time, real packets. Made and used on one thread, which has
// left the process's namespace for good (KernelRun).
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Peregrine.Core.Tcp;
using Peregrine.Scripting.Running;
using Peregrine.Wire;
using static Peregrine.Scripting.Kernel.KernelNative;

namespace Peregrine.Scripting.Kernel;

internal sealed unsafe class KernelWorld : IScriptWorld
{
    private const int PacketLengthMax = 65_536;
    private const string Device = "tun0";

    // Numbers in /proc/net/tcp.
    private const int Listening = 10, HalfOpen = 3, TimeWait = 6;

    private readonly byte[] _packet = new byte[PacketLengthMax];
    private readonly int _tun;
    private readonly int _wake;
    private long _start = Stopwatch.GetTimestamp();

    internal KernelWorld(ScriptSetup setup)
    {
        Setup = setup;
        if (Unshare(NewNetwork) != 0) throw new NotApplicableException("a network namespace needs root");
        _tun = OpenTun();
        _wake = EventCounter(0, NonBlocking | CloseOnExec);
        Configure();
    }

    public ScriptSetup Setup { get; }

    public long Microseconds => (long)Stopwatch.GetElapsedTime(_start).TotalMicroseconds;

    // Somebody waits for it.
    public long AnyTimeMicroseconds => 60_000_000;

    public Queue<SentPacket> Sent { get; } = [];

    public Action<SentPacket>? OnSent { get; set; }

    public Action? OnTurn { get; set; }

    /// <summary>By how much the script's own events were behind their time at worst: what came of them then says nothing about the kernel.</summary>
    internal long LatenessMicroseconds { get; private set; }

    /// <summary>Now is the script's beginning.</summary>
    internal void Start() => _start = Stopwatch.GetTimestamp();

    private static int OpenTun()
    {
        var tun = Open("/dev/net/tun", ReadWrite | NonBlocking | CloseOnExec);
        if (tun < 0) throw new NotApplicableException("there is no /dev/net/tun that could be opened");
        // struct ifreq: a name of 16 bytes, then the flags.
        var request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes(Device, new Span<byte>(request, 16));
        *(short*)(request + 16) = TunWithoutHeader;
        return IoControl(tun, SetInterface, request) == 0 ? tun : throw new NotApplicableException("a TUN device needs root");
    }

    private void Configure()
    {
        var length = Setup.Local.IsIPv4 ? "16" : "64 nodad";
        var family = Setup.Local.IsIPv4 ? "-4" : "-6";
        KernelSysctls.Write("net.ipv6.conf.tun0.addr_gen_mode", "1");
        Ip("link set lo up");
        Ip($"link set {Device} mtu {Setup.Mtu} up");
        Ip($"{family} addr add {Setup.Local}/{length} dev {Device}");
        Ip($"{family} route add default via {Setup.Gateway} dev {Device}");
    }

    // A child has the namespace of the thread that starts it.
    private static void Ip(string arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true }) ?? throw new NotApplicableException("there is no 'ip'");
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new NotApplicableException($"'ip {arguments}': {said.Trim()}");
    }

    public void Deliver(byte[] packet)
    {
        fixed (byte* bytes = packet)
        {
            if (Write(_tun, bytes, (nuint)packet.Length) != packet.Length) throw new ScriptFailedException($"the kernel did not take the packet: {LinuxNumbers.ErrorName((int)-Outcome(-1))}");
        }
        Pump();
    }

    public void Pump()
    {
        fixed (byte* into = _packet)
        {
            ulong count;
            _ = Read(_wake, (byte*)&count, sizeof(ulong));
            nint length;
            while ((length = Read(_tun, into, PacketLengthMax)) > 0) Take(_packet.AsSpan(0, (int)length));
        }
        OnTurn?.Invoke();
    }

    // The kernel also looks for neighbours and groups on a new interface, which is no part of any script.
    private void Take(ReadOnlySpan<byte> bytes)
    {
        var packet = new SentPacket(Microseconds, bytes.ToArray(), 0);
        var isChatter = (packet.IsV4 && packet.Protocol == IpProtocol.Igmp) || (!packet.IsV4 && (packet.Protocol == 0 || (packet.Protocol == IpProtocol.Icmpv6 && packet.Payload[0] >= 128)));
        if (isChatter) return;
        OnSent?.Invoke(packet);
        Sent.Enqueue(packet);
    }

    /// <summary>Ends the wait of the world's thread: a call has come back.</summary>
    internal void Wake()
    {
        ulong one = 1;
        _ = Write(_wake, (byte*)&one, sizeof(ulong));
    }

    public void AdvanceTo(long microseconds, Func<bool>? until = null)
    {
        while (true)
        {
            Pump();
            if (until is not null && until()) return;
            var left = microseconds - Microseconds;
            if (left <= 0) break;
            Wait(left);
        }
        if (until is null) LatenessMicroseconds = Math.Max(LatenessMicroseconds, Microseconds - microseconds);
    }

    private void Wait(long microseconds)
    {
        var entries = stackalloc PollEntry[2];
        entries[0] = new PollEntry { Descriptor = _tun, Events = 1 };
        entries[1] = new PollEntry { Descriptor = _wake, Events = 1 };
        var timeout = stackalloc long[2];
        (timeout[0], timeout[1]) = (microseconds / 1_000_000, microseconds % 1_000_000 * 1_000);
        _ = WaitPoll(entries, 2, timeout, null);
    }

    public bool HasListener => Rows().Any(static row => row.State == Listening);

    public int HalfOpenCount => Rows().Count(static row => row.State == HalfOpen);

    public int TimeWaitCount => Rows().Count(static row => row.State == TimeWait);

    // In the order of their numbers, from 1; CLOSED sockets are in no table.
    public int? CountIn(string state)
    {
        string[] states = ["ESTABLISHED", "SYN_SENT", "SYN_RCVD", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT", "", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"];
        var number = Array.IndexOf(states, state) + 1;
        return number > 0 ? Rows().Count(row => row.State == number) : null;
    }

    public TcpState? StateOf(Flow flow)
    {
        foreach (var row in Rows())
        {
            if (row.Local == flow.LocalPort && row.Remote == flow.RemotePort && row.State is not (HalfOpen or TimeWait)) return row.State == 2 ? TcpState.SynSent : TcpState.Established;
        }
        return null;
    }

    // "sl local_address rem_address st …", addresses as hexadecimal with the port behind a colon.
    private static IEnumerable<(int Local, int Remote, int State)> Rows()
    {
        foreach (var file in (string[])["tcp", "tcp6"])
        {
            var path = $"/proc/thread-self/net/{file}";
            if (!File.Exists(path)) continue;
            foreach (var line in File.ReadAllLines(path).Skip(1))
            {
                var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                yield return (Hex(words[1].Split(':')[^1]), Hex(words[2].Split(':')[^1]), Hex(words[3]));
            }
        }
    }

    private static int Hex(string text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    public void Dispose()
    {
        _ = Close(_tun);
        _ = Close(_wake);
    }
}
