// Random but plausible scripts: a peer that shakes hands, acknowledges some of what came, loses, reorders and repeats, and an application that
// writes, reads and closes. Each step is chosen by what our own stack has sent so far in virtual time, so that the stimuli fit it.
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Peregrine.Scripting.Explorer;

/// <summary>A script that stimulates and expects nothing.</summary>
internal sealed record Stimuli(string Kind, string Text);

internal sealed partial class Generator(int seed, string kind)
{
    private const string Info = "tcpi_state, tcpi_ca_state, tcpi_snd_cwnd, tcpi_snd_ssthresh, tcpi_unacked, tcpi_sacked, tcpi_lost, tcpi_retrans, tcpi_backoff, tcpi_probes, "
        + "tcpi_total_retrans, tcpi_notsent_bytes, tcpi_reordering, tcpi_bytes_acked, tcpi_bytes_received, tcpi_snd_mss, tcpi_delivered, tcpi_dsack_dups, tcpi_options, "
        + "tcpi_segs_in, tcpi_segs_out, tcpi_data_segs_in, tcpi_data_segs_out, tcpi_bytes_sent, tcpi_bytes_retrans, tcpi_rcv_ooopack, tcpi_reord_seen, tcpi_retransmits, tcpi_total_rto, "
        + "tcpi_total_rto_recoveries, tcpi_delivered_ce";

    private static readonly string[] s_kinds = ["send", "loss", "receive", "close", "options", "client", "plain", "renege", "ecn", "mix", "mtu", "window"];

    // Kinds in which segments are lost: without SACK, with SACKs taken back, with marks, with probes of the path's MTU.
    private bool Loses => _kind is "loss" or "plain" or "renege" or "ecn" or "mtu";

    private readonly Random _random = new(seed);
    private readonly StringBuilder _text = new();
    private readonly List<(uint Start, uint End)> _sent = [];
    private readonly List<(uint Start, uint End)> _sacked = [];
    private readonly List<(uint Start, uint End)> _held = [];
    private string _kind = "";
    private int _mss = 1_000, _sendMss = 1_000;
    private bool _sack, _stamps, _ecn, _hasClosed, _hasFin, _hasShut, _isDead;
    private uint _una = 1, _next = 1, _snd = 1, _window = 2_000;
    private int _ms, _stampsFrom;
    private List<(int At, int Since)> _due = [];
    private int _lastSent = -1;
    private bool _isRepeated;

    [GeneratedRegex(@"^> (\S+) (\d+):(\d+)\((\d+)\)(?: ack (\d+))?")]
    private static partial Regex Sent();

    private bool Chance(int percent) => _random.Next(100) < percent;

    private int Pick(params int[] values) => values[_random.Next(values.Length)];

    internal Stimuli Make()
    {
        _kind = kind.Length > 0 ? kind : s_kinds[_random.Next(s_kinds.Length)];
        Open();
        var steps = 4 + _random.Next(14);
        for (var i = 0; i < steps && !_isDead; i++)
        {
            Look();
            Step();
            Add(0, $"%{{ print({Info}) }}%");
        }
        Add(Pick(300, 1_200, 2_500), $"%{{ print({Info}) }}%");
        return new Stimuli(_kind, _text.ToString());
    }

    private void Add(int waitMs, string line)
    {
        if (waitMs > 0) waitMs = Beside(waitMs);
        _ms += waitMs;
        _text.Append(CultureInfo.InvariantCulture, $"+{waitMs / 1_000}.{waitMs % 1_000:d3} {line}\n");
    }

    // What our stack does by itself within the next seconds: a stimulus close to it would meet another state in a kernel, whose timers are
    // as coarse as its ticks. Nor does an ACK come sooner than a round trip that a machine's delays are small beside.
    private int Beside(int waitMs)
    {
        Foresee();
        if (_lastSent >= 0) waitMs = Math.Max(waitMs, _lastSent + (_isRepeated ? 45 : 30) - _ms);
        foreach (var (at, since) in _due)
        {
            var margin = since < 250 ? 20 : since < 2_000 ? 50 : 300;
            if (_ms + waitMs > at - 12 && _ms + waitMs < at + margin) waitMs = at + margin - _ms;
        }
        return waitMs;
    }

    private void Foresee()
    {
        var stimulus = 0.0;
        _due = [];
        _lastSent = -1;
        var seen = new HashSet<string>();
        foreach (var line in Comparison.Ours(_text + "+4.000 %{ print(tcpi_state) }%\n").Trace)
        {
            if (line.Kind is '<' or '%') stimulus = line.At;
            if (line.Kind != '>') continue;
            var at = (int)(line.At * 1_000);
            if (at > _ms) _due.Add((at, (int)((line.At - stimulus) * 1_000)));
            else if (!line.Text.Contains("(0)", StringComparison.Ordinal))
            {
                _isRepeated = (_isRepeated && _lastSent == at) || !seen.Add(line.Text);
                _lastSent = at;
            }
        }
    }

    private void Open()
    {
        (_sack, _stamps) = (Chance(75) || _kind is "renege" or "mtu", Chance(40));
        if (_kind == "plain") _sack = false;
        _ecn = (_kind == "options" && Chance(40)) || _kind == "ecn";
        var scale = Chance(85);
        _mss = Chance(85) ? 1_000 : Pick(1_460, 536, 1_400, 300);
        _sendMss = Math.Min(_mss, 1_460) - (_stamps ? 12 : 0);
        _window = scale ? (uint)Pick(257, 257, 257, 1_000, 100, 65_535) : 65_535;
        var options = $"mss {_mss}" + (_stamps ? _sack ? ",sackOK,TS val 1000 ecr 0" : ",nop,nop,TS val 1000 ecr 0" : _sack ? ",nop,nop,sackOK" : "") + (scale ? $",nop,wscale {Pick(7, 7, 8)}" : "");
        if (_ecn) _text.Append("`sysctl -q net.ipv4.tcp_ecn=1`\n");
        if (_kind == "mtu")
        {
            _mss = 1_460;
            _text.Append(CultureInfo.InvariantCulture, $"`sysctl -q net.ipv4.tcp_mtu_probing=2 net.ipv4.tcp_base_mss={Pick(512, 1_024)}`\n");
        }
        if (Chance(15)) _text.Append("`sysctl -q net.ipv4.tcp_congestion_control=reno`\n");
        if (Chance(15)) _text.Append("`sysctl -q net.ipv4.tcp_slow_start_after_idle=1`\n");
        if (_kind == "client") OpenClient(options);
        else OpenServer(options);
        _stampsFrom = _ms;
        var fd = _kind == "client" ? 3 : 4;
        Add(0, $"fcntl({fd}, F_SETFL, O_RDWR|O_NONBLOCK) = ...");
        if (Chance(30)) Add(0, $"setsockopt({fd}, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
    }

    private int Fd => _kind == "client" ? 3 : 4;

    private void OpenServer(string options)
    {
        Add(0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        Add(0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
        if (_kind == "receive" && Chance(30)) Add(0, $"setsockopt(3, SOL_SOCKET, SO_RCVBUF, [{Pick(4_000, 10_000, 20_000, 60_000)}], 4) = 0");
        Add(0, "bind(3, ..., ...) = 0");
        Add(0, "listen(3, 1) = 0");
        Add(0, $"< {(_ecn ? "SEW" : "S")} 0:0(0) win 32792 <{options}>");
        if (_stamps) Add(0, $"> {(_ecn ? "SE." : "S.")} 0:0(0) ack 1 <{(_sack ? "mss 1460,sackOK," : "mss 1460,nop,nop,")}TS val 100 ecr 1000{(options.Contains("wscale", StringComparison.Ordinal) ? ",nop,wscale 8" : "")}>");
        var rtt = Pick(40, 50, 100, 200);
        Add(rtt, Segment(".", 0));
        Add(0, "accept(3, ..., ...) = 4");
    }

    private void OpenClient(string options)
    {
        Add(0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        Add(0, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        Add(0, "connect(3, ..., ...) = -1 EINPROGRESS");
        if (_stamps) Add(0, $"> {(_ecn ? "SEW" : "S")} 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>");
        Add(Pick(40, 50, 100), $"< {(_ecn ? "SE." : "S.")} 0:0(0) ack 1 win 32792 <{options.Replace("ecr 0", "ecr 100", StringComparison.Ordinal)}>");
        Add(0, "getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0");
    }

    // What has been sent so far, by our own stack.
    private void Look()
    {
        _sent.Clear();
        foreach (var line in Comparison.Ours(_text.ToString()).Trace)
        {
            if (Sent().Match(line.Text) is not { Success: true } m) continue;
            var (start, end) = (uint.Parse(m.Groups[2].Value, CultureInfo.InvariantCulture), uint.Parse(m.Groups[3].Value, CultureInfo.InvariantCulture));
            if (m.Groups[1].Value.Contains('F', StringComparison.Ordinal)) end++;
            if (m.Groups[1].Value.Contains('R', StringComparison.Ordinal)) _isDead = true;
            if (end > start && !m.Groups[1].Value.Contains('S', StringComparison.Ordinal)) _sent.Add((start, end));
            _snd = Math.Max(_snd, end);
        }
    }

    private int Wait() => Loses || Chance(60) ? Pick(1, 1, 5, 10, 20, 50, 100) : Pick(1, 20, 100, 120, 260, 700, 1_300);

    private void Step()
    {
        var choice = _random.Next(100);
        switch (_kind)
        {
            case "send" or "options" or "client":
                if (choice < 30 && !_hasShut) Send();
                else if (choice < 70) Acknowledge();
                else if (choice < 80) Give();
                else if (choice < 90) Change();
                else Other();
                break;
            case "window":
                if (choice < 30 && !_hasShut) Send(large: true);
                else if (choice < 75) Acknowledge();
                else if (choice < 85) Give();
                else Add(Pick(300, 700, 1_500), "< . " + Tail(0));
                break;
            case "mix":
                if (choice < 50 && !_hasShut) Send();
                else if (choice < 75) Acknowledge();
                else if (choice < 92) Change();
                else Give();
                break;
            case var _ when Loses:
                if (_kind == "renege" && Chance(12)) _sacked.Clear();
                if (_snd == _una && !_hasShut) Send(large: true);
                else if (choice < 15 && !_hasShut) Send();
                else if (choice < 45) Acknowledge();
                else if (choice < 90) Report();
                else Add(Pick(300, 700, 1_500), "< . " + Tail(0));
                break;
            case "receive":
                if (choice < 65) Give();
                else if (choice < 90) Add(Wait(), $"read(4, ..., {Pick(100, 1_000, 5_000, 100_000)}) = ...");
                else if (choice < 95 && !_hasShut) Send();
                else Change();
                break;
            default:
                if (choice < 20 && !_hasShut) Send();
                else if (choice < 50) Acknowledge();
                else if (choice < 65) Give();
                else if (choice < 85) End();
                else Other();
                break;
        }
    }

    private void Send(bool large = false)
    {
        int[] sizes = large ? [4, 6, 10, 20] : [1, 1, 2, 3, 5, 10, 30];
        var size = sizes[_random.Next(sizes.Length)] * (Chance(70) ? _sendMss : _mss) + (Chance(40) ? Pick(-100, 1, 100, 250) : 0);
        if (!large && Chance(25)) size = Pick(1, 50, 100, 400);
        if (!large && (_kind is "options" or "send" ? Chance(12) : _kind == "mix" && Chance(35))) Add(Wait(), $"send({Fd}, ..., {size}, {(Chance(60) ? "MSG_MORE" : "MSG_EOR")}) = ...");
        else Add(Wait(), $"write({Fd}, ..., {size}) = ...");
    }

    private string Window() => $"win {_window}";

    private string Segment(string flags, int length, uint? seq = null, string extra = "")
    {
        var start = seq ?? _next;
        var ack = _una;
        List<string> options = [];
        if (_stamps) options.Add($"nop,nop,TS val {1_000 + _ms} ecr {100 + Math.Max(0, _ms - _stampsFrom)}");
        if (extra.Length > 0) options.Add("nop,nop," + extra);
        return $"< {flags} {start}:{start + length}({length}) ack {ack} {Window()}" + (options.Count > 0 ? $" <{string.Join(',', options)}>" : "");
    }

    private string Tail(int length) => Segment(".", length)["< . ".Length..];

    private void Acknowledge()
    {
        var outstanding = _sent.Where(s => s.End > _una).Select(static s => s.End).Distinct().Order().ToList();
        if (outstanding.Count == 0)
        {
            if (Chance(50)) Add(Wait(), "< . " + Tail(0));
            else Give();
            return;
        }
        var count = Chance(50) ? Math.Min(outstanding.Count, Pick(1, 2, 2, 3)) : Chance(60) ? outstanding.Count : 1 + _random.Next(outstanding.Count);
        _una = outstanding[count - 1];
        if (Chance(4)) _una = Math.Min(_snd, _una + 100);
        if ((_kind == "options" && Chance(20)) || (_kind == "window" && Chance(50))) _window = (uint)Pick(0, 1, 4, 10, 30, 257, 1_000);
        // What was reported as received is acknowledged with what comes before it, unless it is taken back.
        if (_kind != "renege") _una = _sacked.Where(s => s.Start <= _una).Select(static s => s.End).Append(_una).Max();
        _sacked.RemoveAll(s => s.End <= _una);
        Add(Wait(), Segment(Flags(), 0, null, Blocks(null)));
    }

    private string Flags() => _ecn && Chance(15) ? "E." : ".";

    private string Blocks((uint Start, uint End)? first)
    {
        if (!_sack) return "";
        List<(uint Start, uint End)> blocks = first is { } f ? [f] : [];
        foreach (var s in _sacked.OrderBy(s => first is { } f && s.Start <= f.Start && s.End >= f.End ? 0 : 1))
        {
            if (s.End > _una && !blocks.Contains(s)) blocks.Add(s);
        }
        return blocks.Count == 0 ? "" : "sack " + string.Join(' ', blocks.Take(3).Select(static b => $"{b.Start}:{b.End}"));
    }

    // Duplicate ACKs, with SACK blocks where there may be some, and now and then of what came twice.
    private void Report()
    {
        var flying = _sent.Where(s => s.Start > _una && !_sacked.Any(k => k.Start <= s.Start && k.End >= s.End)).Distinct().OrderBy(static s => s.Start).ToList();
        var repeated = _sent.Where(s => s.End <= _una).GroupBy(static s => s).Where(static g => g.Count() > 1).Select(static g => g.Key).ToList();
        if (_sack && repeated.Count > 0 && Chance(25))
        {
            Add(Wait(), Segment(".", 0, null, Blocks(repeated[^1])));
            return;
        }
        if (!_sack || flying.Count == 0)
        {
            var count = Pick(1, 1, 2, 3);
            for (var i = 0; i < count; i++) Add(i == 0 ? Wait() : 0, Segment(Flags(), 0, null, Blocks(null)));
            return;
        }
        var isFirst = true;
        for (var i = Pick(1, 1, 2, 3); i > 0 && flying.Count > 0; i--)
        {
            var at = Chance(70) ? 0 : _random.Next(flying.Count);
            var one = flying[at];
            flying.RemoveAt(at);
            Merge(_sacked, one);
            Add(isFirst ? Math.Max(1, Wait()) : 0, Segment(Flags(), 0, null, Blocks(_sacked.First(s => s.Start <= one.Start && s.End >= one.End))));
            isFirst = false;
        }
    }

    private static void Merge(List<(uint Start, uint End)> list, (uint Start, uint End) one)
    {
        foreach (var other in list.Where(o => o.Start <= one.End && o.End >= one.Start).ToList())
        {
            one = (Math.Min(one.Start, other.Start), Math.Max(one.End, other.End));
            list.Remove(other);
        }
        list.Add(one);
    }

    // Data of the peer's: in order, ahead, behind, or across what is there.
    private void Give()
    {
        if (_hasFin)
        {
            Add(Wait(), "< . " + Tail(0));
            return;
        }
        var length = Pick(1, 100, 500, 1_000, 1_000, 1_000, 1_460);
        var push = Chance(60) ? "P." : ".";
        var kindOf = _random.Next(100);
        if (kindOf < 60)
        {
            Add(Wait(), Segment(push, length));
            Advance(_next, _next + (uint)length);
        }
        else if (kindOf < 85)
        {
            var start = _next + (uint)Pick(100, 1_000, 2_000, 3_000, 5_000);
            Add(Wait(), Segment(push, length, start));
            Merge(_held, (start, start + (uint)length));
        }
        else
        {
            var back = Math.Min(_next - 1, (uint)Pick(1, 500, 1_000, 2_000));
            Add(Wait(), Segment(push, length, _next - back));
            Advance(_next - back, _next - back + (uint)length);
        }
    }

    private void Advance(uint start, uint end)
    {
        if (start > _next || end <= _next) return;
        _next = end;
        for (var more = true; more;)
        {
            more = false;
            foreach (var h in _held.Where(h => h.Start <= _next).ToList())
            {
                _held.Remove(h);
                if (h.End > _next) (_next, more) = (h.End, true);
            }
        }
    }

    private void Change()
    {
        string[] lines =
        [
            $"setsockopt({Fd}, SOL_TCP, TCP_NODELAY, [{Pick(0, 1)}], 4) = 0", $"setsockopt({Fd}, SOL_TCP, TCP_CORK, [{Pick(0, 1)}], 4) = 0",
            $"setsockopt({Fd}, SOL_TCP, TCP_QUICKACK, [{Pick(0, 1)}], 4) = 0", $"setsockopt({Fd}, SOL_SOCKET, SO_RCVBUF, [{Pick(8_000, 20_000, 60_000)}], 4) = 0",
            $"setsockopt({Fd}, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0",
        ];
        Add(Wait(), lines[_random.Next(lines.Length)]);
    }

    private void End()
    {
        var fd = Fd;
        switch (_random.Next(6))
        {
            case 0 when !_hasShut:
                _hasShut = true;
                Add(Wait(), $"shutdown({fd}, SHUT_WR) = ...");
                break;
            case 1 when !_hasClosed:
                (_hasClosed, _hasShut) = (true, true);
                Add(Wait(), $"close({fd}) = 0");
                break;
            case 2 when !_hasFin:
                _hasFin = true;
                Add(Wait(), Segment("F.", 0));
                _next++;
                break;
            case 3 when !_hasFin:
                _hasFin = true;
                Add(Wait(), Segment("FP.", 500));
                _next += 501;
                break;
            case 4 when Chance(30):
                Add(Wait(), Segment("R.", 0, _next + (uint)Pick(0, 0, 1, 100)));
                break;
            default:
                Acknowledge();
                break;
        }
    }

    // What a peer in its right mind does not send: it has to be answered all the same.
    private void Other()
    {
        var una = _una;
        switch (_random.Next(6))
        {
            case 0:
                Add(Wait(), Segment("S", 0, _next));
                break;
            case 1:
                _una = _snd + 1_000;
                Add(Wait(), Segment(".", 0));
                _una = una;
                break;
            case 2 when una > 1:
                _una = 1;
                Add(Wait(), Segment(Chance(50) ? "." : "P.", Pick(0, 10)));
                _una = una;
                break;
            case 3:
                Add(Wait(), Segment(".", Pick(0, 100), _next + 60_000_000));
                break;
            case 4:
                Add(Wait(), Segment("P", 10)[..^0].Replace($" ack {_una}", "", StringComparison.Ordinal));
                break;
            default:
                Add(Wait(), Segment("R", 0, _next + (uint)Pick(1, 100, 70_000_000)).Replace($" ack {_una}", "", StringComparison.Ordinal));
                break;
        }
    }
}
