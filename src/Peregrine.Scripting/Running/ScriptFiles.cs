// Files and pipes of scripts: shell lines that make small files, and the calls that move bytes without reading them.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

/// <summary>Files by name, of which only the length is known.</summary>
internal sealed class ScriptFileTable
{
    private readonly Dictionary<string, long> _lengths = [];

    /// <summary>Whether a shell line makes or removes a file.</summary>
    internal static bool Is(string line) => ToolOf(line) is "rm" or "dd" || (ToolOf(line) is "echo" && IsFile(TargetOf(line)));

    private static bool IsFile(string? target) =>
        target is not (null or "/dev/null") && !target.StartsWith("/sys", StringComparison.Ordinal) && !target.StartsWith("/proc", StringComparison.Ordinal);

    /// <summary>Runs those lines of a command that make or remove files.</summary>
    internal void Run(string command)
    {
        foreach (var line in command.Split((char[])['\n', ';'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Where(Is))
        {
            var words = WordsOf(line);
            switch (ToolOf(line))
            {
                case "rm":
                    _lengths.Remove(words[^1]);
                    break;
                case "dd":
                    _lengths[Operand(words, "of", "")] = Size(Operand(words, "bs", "512")) * Size(Operand(words, "count", "1"));
                    break;
                default:
                    var text = line[(line.IndexOf("echo", StringComparison.Ordinal) + 4)..line.IndexOf('>', StringComparison.Ordinal)].Trim();
                    _lengths[TargetOf(line)!] = text.StartsWith("-n ", StringComparison.Ordinal) ? text[3..].Trim().Trim('"').Length : text.Trim('"').Length + 1;
                    break;
            }
        }
    }

    internal bool TryGetLength(string name, out long length) => _lengths.TryGetValue(name, out length);

    private static string[] WordsOf(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > 0 } words ? words : [""];

    private static string ToolOf(string line) => Path.GetFileName(WordsOf(line)[0]);

    private static string? TargetOf(string line) => line.Split('>') is [_, var target] ? target.Trim() : null;

    private static string Operand(string[] words, string name, string usual) =>
        words.FirstOrDefault(w => w.StartsWith(name + "=", StringComparison.Ordinal)) is { } word ? word[(name.Length + 1)..] : usual;

    private static long Size(string text)
    {
        if (!long.TryParse(text.TrimEnd('k', 'K', 'M'), out var number)) throw new NotApplicableException($"'{text}' is no size");
        return number * (text[^1] is 'k' or 'K' ? 1 << 10 : text[^1] == 'M' ? 1 << 20 : 1);
    }
}

internal sealed class ScriptFiles(ScriptWorld world, ScriptFileTable files)
{
    private readonly PosixSockets _x = world.Sockets;

    internal PosixResult Pipe(IReadOnlyList<ScriptValue> a)
    {
        if (a[0] is not List { Items: [Number output, Number input] }) throw new NotApplicableException("pipe() without two descriptors");
        var pipe = new PosixPipe();
        foreach (var (kind, wanted) in ((PosixKind, long)[])[(PosixKind.PipeOut, output.Value), (PosixKind.PipeIn, input.Value)])
        {
            var placed = _x.Place(new PosixSocket { Kind = kind, IsV6 = false, Pipe = pipe });
            if (placed.Errno is not null) return placed;
            if (placed.Value != wanted) _x.TryMove(placed.Value, wanted);
        }
        return PosixResult.Success;
    }

    internal PosixResult Open(IReadOnlyList<ScriptValue> a)
    {
        if (a[0] is not Text name || !files.TryGetLength(name.Value, out var length)) return PosixResult.Fail("ENOENT");
        return _x.Place(new PosixSocket { Kind = PosixKind.File, IsV6 = false, FileLength = length });
    }

    internal PosixResult Splice(IReadOnlyList<ScriptValue> a)
    {
        var from = ScriptCalls.Integer(a, 0);
        // SPLICE_F_NONBLOCK is about pipes: whether a socket waits, only its descriptor says.
        var patient = _x.Get(from) is { NonBlocking: false };
        return PosixTransfer.Move(_x, from, ScriptCalls.Integer(a, 2), ScriptCalls.Integer(a, 4), patient, world.Now);
    }

    internal PosixResult SendFile(IReadOnlyList<ScriptValue> a)
    {
        if (_x.Get(ScriptCalls.Integer(a, 1)) is { Kind: PosixKind.File } file && a[2] is List { Items: [Number offset] }) file.FileOffset = offset.Value;
        return PosixTransfer.Move(_x, ScriptCalls.Integer(a, 1), ScriptCalls.Integer(a, 0), ScriptCalls.Integer(a, 3), patient: true, world.Now);
    }
}
