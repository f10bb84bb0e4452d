// What Wire, Core, Sockets and Simulation may not name in their sources: clocks, threads, chance, system calls, hidden state.
// Reads tokens, so comments and strings do not count; AssemblyTests looks at the compiled code for what no name shows.
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Peregrine.Tidy;

public sealed class BannedSymbolTests
{
    private static readonly string[] Clocks = ["DateTime", "DateTimeOffset", "Stopwatch", "TimeProvider", "PeriodicTimer"];

    private static readonly string[] Threads =
        ["Thread", "ThreadPool", "ThreadLocal", "ThreadStatic", "ThreadStaticAttribute", "AsyncLocal", "Monitor", "Mutex", "Semaphore", "SemaphoreSlim",
            "ManualResetEvent", "ManualResetEventSlim", "AutoResetEvent", "SpinLock", "ReaderWriterLockSlim", "Parallel"];

    private static readonly string[] SystemCalls =
        ["DllImport", "DllImportAttribute", "LibraryImport", "LibraryImportAttribute", "NativeLibrary", "File", "FileStream", "Console", "Process", "Socket"];

    // System.Random is looked for where it is made or shared (Random may well be the name of a property); AssemblyTests sees every use.
    private static readonly string[] Chance = ["HashCode", "RandomNumberGenerator"];

    private static readonly string[] Waiting = ["Task", "ValueTask", "TaskCompletionSource", "TaskScheduler", "SynchronizationContext"];

    private static readonly string[] InexactMathMembers =
        ["Log", "Log2", "Log10", "Exp", "Pow", "Cbrt", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Atan2", "Sinh", "Cosh", "Tanh"];

    private static readonly Dictionary<string, string[]> BannedIn = new()
    {
        ["Peregrine.Wire"] = [.. Clocks, .. Threads, .. SystemCalls, .. Chance, .. Waiting, "Enumerable", "Guid"],
        ["Peregrine.Core"] = [.. Clocks, .. Threads, .. SystemCalls, .. Chance, .. Waiting, "Enumerable", "Guid"],
        ["Peregrine.Sockets"] = [.. Clocks, .. Threads, .. SystemCalls, .. Chance],
        ["Peregrine.Simulation"] = [.. Clocks, .. Threads, .. SystemCalls, .. Chance],
    };

    private static readonly string[] PureRooms = ["Peregrine.Wire", "Peregrine.Core"];

    [Fact]
    public void NoBannedSymbolIsNamed()
    {
        var exceptions = new Exceptions("banned");
        var findings = Repository.ProductSources
            .Where(source => BannedIn.ContainsKey(source.Room))
            .SelectMany(source => Scan(source).Select(hit => (source, hit.Line, hit.Symbol)))
            .Where(hit => !exceptions.Allows($"{hit.source.Path}:{hit.Symbol}"))
            .Select(hit => $"{hit.source.Path}({hit.Line}): {hit.Symbol}")
            .ToList();
        Findings.ExpectNone(findings.Concat(exceptions.Unused()), "Banned here; where it cannot be helped, a line in exceptions/banned.txt gives the reason.");
    }

    [Theory]
    [InlineData("class C { long M() => System.DateTime.UtcNow.Ticks; }", "DateTime")]
    [InlineData("class C { int M() => System.Environment.TickCount; }", "Environment.TickCount")]
    [InlineData("class C { double M() => Math.Pow(2, 3); }", "Math.Pow")]
    [InlineData("class C { int M() => Random.Shared.Next(); }", "Random.Shared")]
    [InlineData("class C { object M() => new Random(1); }", "new Random")]
    [InlineData("class C { void M() { lock (this) { } } }", "lock")]
    [InlineData("class C { static int s_count; }", "static-field")]
    [InlineData("class C { static int Count { get; set; } }", "static-field")]
    [InlineData("using System.Linq; class C;", "System.Linq")]
    [InlineData("class C { async void M() { } }", "async")]
    public void ScanFindsTheSymbol(string code, string symbol) => Assert.Contains(symbol, Scan(Parse(code)).Select(hit => hit.Symbol));

    [Theory]
    [InlineData("// DateTime and lock\nclass C { string S = \"Thread\"; }")]
    [InlineData("class C { static readonly int s_a = 1; const int B = 2; int c; static int D { get; } }")]
    [InlineData("class C { int M() => System.Environment.CurrentManagedThreadId + (int)Math.Sqrt(4) + BitOperations.Log2(8); }")]
    public void ScanLetsTheRestPass(string code) => Assert.Empty(Scan(Parse(code)));

    private static SourceFile Parse(string code) =>
        new("src/Peregrine.Core/X.cs", code, (CompilationUnitSyntax)CSharpSyntaxTree.ParseText(code).GetRoot());

    private static IEnumerable<(int Line, string Symbol)> Scan(SourceFile source)
    {
        var pure = PureRooms.Contains(source.Room);
        var banned = BannedIn[source.Room];
        foreach (var node in source.Root.DescendantNodes())
        {
            var symbol = node switch
            {
                SimpleNameSyntax name when banned.Contains(name.Identifier.Text) && IsTypeUse(name) => name.Identifier.Text,
                MemberAccessExpressionSyntax access => MemberSymbol(access),
                ObjectCreationExpressionSyntax { Type: var type } when type.ToString() is "Random" or "System.Random" => "new Random",
                UsingDirectiveSyntax { Name: { } name } when pure && name.ToString() == "System.Linq" => "System.Linq",
                QueryExpressionSyntax when pure => "System.Linq",
                LockStatementSyntax when pure => "lock",
                AwaitExpressionSyntax when pure => "await",
                FieldDeclarationSyntax field when pure && IsMutableStatic(field) => "static-field",
                PropertyDeclarationSyntax property when pure && IsMutableStatic(property) => "static-field",
                MethodDeclarationSyntax method when pure && method.Modifiers.Any(SyntaxKind.AsyncKeyword) => "async",
                _ => null,
            };
            if (symbol is not null) yield return (node.GetLocation().GetLineSpan().StartLinePosition.Line + 1, symbol);
        }
    }

    private static string? MemberSymbol(MemberAccessExpressionSyntax access)
    {
        var left = access.Expression.ToString();
        var type = left[(left.LastIndexOf('.') + 1)..];
        var member = access.Name.Identifier.Text;
        return type switch
        {
            // The debug assertion that a stack stays on its thread is the one fact about threads that Core may ask for.
            "Environment" when member is not ("CurrentManagedThreadId" or "SystemPageSize") => $"Environment.{member}",
            "Random" when member == "Shared" => "Random.Shared",
            "Math" or "MathF" when InexactMathMembers.Contains(member) => $"Math.{member}",
            _ => null,
        };
    }

    /// <summary>True unless the name is a member of something else, as in <c>connection.Process(frame)</c>.</summary>
    private static bool IsTypeUse(SimpleNameSyntax name)
    {
        if (name.Parent is MemberAccessExpressionSyntax access && access.Name == name) return access.Expression.ToString().StartsWith("System", StringComparison.Ordinal);
        return name.Parent is not (NameColonSyntax or MemberBindingExpressionSyntax or InvocationExpressionSyntax or NameMemberCrefSyntax or XmlNameAttributeSyntax);
    }

    private static bool IsMutableStatic(FieldDeclarationSyntax field) =>
        field.Modifiers.Any(SyntaxKind.StaticKeyword) && !field.Modifiers.Any(SyntaxKind.ReadOnlyKeyword);

    private static bool IsMutableStatic(PropertyDeclarationSyntax property) =>
        property.Modifiers.Any(SyntaxKind.StaticKeyword) && !property.Modifiers.Any(SyntaxKind.AbstractKeyword)
        && (property.AccessorList?.Accessors.Any(a => a.IsKind(SyntaxKind.SetAccessorDeclaration) && a.Body is null && a.ExpressionBody is null) ?? false);
}
