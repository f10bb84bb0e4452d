// The options that say where frames are recorded: the same words in every command.
using System.CommandLine;
using System.Globalization;

namespace Peregrine.Cli.Commands;

internal sealed class CaptureOptions
{
    private const int CountLimit = 99_999;
    private const long BytesMin = 1_000;

    private readonly Option<FileInfo?> _file = new("--capture", "--write", "-w") { Description = "Write all frames, both directions, to this pcapng file" };

    private readonly Option<string?> _size = new("--capture-size")
    {
        Description = "Begin another file before one is larger than that: bytes, or with K, M or G behind the number; FILE.pcapng becomes FILE-00001.pcapng and so on",
    };

    private readonly Option<int> _count = new("--capture-count") { Description = "Keep only so many files, the newest; needs --capture-size", DefaultValueFactory = static _ => 0 };

    internal void AddTo(Command command)
    {
        foreach (var option in new Option[] { _file, _size, _count }) command.Options.Add(option);
    }

    /// <summary>Opens what was asked for; null where nothing was.</summary>
    internal Stream? Open(ParseResult parsed)
    {
        var (size, count) = (parsed.GetValue(_size), parsed.GetValue(_count));
        if (count is < 0 or > CountLimit) throw new ArgumentException($"--capture-count is {count}; it must be from 1 to {CountLimit}.");
        if (count > 0 && size is null) throw new ArgumentException("--capture-count needs --capture-size: without it there is one file.");
        var bytes = 0L;
        if (size is not null && (!TryParseBytes(size, out bytes) || bytes < BytesMin))
            throw new ArgumentException($"--capture-size is \"{size}\"; it must be {BytesMin} or more, like 500K, 20M or 1G.");
        return parsed.GetValue(_file) switch
        {
            { } file => new CaptureFiles(file, new CaptureRotation(bytes, count), static problem => Console.Error.WriteLine("peregrine: " + problem)),
            null when size is not null => throw new ArgumentException("--capture-size needs --capture FILE."),
            null => null,
        };
    }

    private static bool TryParseBytes(string text, out long bytes)
    {
        var factor = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 1_000L, 'M' => 1_000_000, 'G' => 1_000_000_000, _ => 1 };
        var isNumber = int.TryParse(factor > 1 ? text[..^1] : text, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
        bytes = number * factor;
        return isNumber;
    }
}
