//! pgwire's handlers over a session: simple and extended protocol.
//!
//! COMPAT: tags carry no row count (`SHOW`, not `SHOW 3`), so results are sent here and not by
//! pgwire's helpers. The extended protocol knows the columns of a SHOW before it runs.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{Sink, SinkExt, StreamExt, stream};
use pgwire::api::portal::{Format, Portal, PortalExecutionState};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler, send_ready_for_query};
use pgwire::api::results::{FieldInfo, QueryResponse, Response};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::RowDescription;
use pgwire::messages::extendedquery::{Execute, PortalSuspended};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, TransactionStatus,
};
use pgwire::messages::simplequery::Query;

use super::commands::{Notice, Reply};
use super::grammar::{self, Command};
use super::rows::{Table, encode, fields};
use super::session::{Failed, Session};
use super::show;
use crate::error::ClientError;

/// Most rows that one Execute with a limit returns; more are fetched with the next one.
const MAX_FETCH: i32 = 10_000;

/// A statement of the extended protocol.
pub type Prepared = Arc<Command>;

/// The frame with exactly PgBouncer's fields.
pub fn error_response(error: &ClientError) -> ErrorResponse {
    ErrorResponse::new(vec![
        (b'S', error.severity.as_str().to_owned()),
        (b'C', error.sqlstate.to_string()),
        (b'M', error.text.to_string()),
    ])
}

fn notice_response(notice: &Notice) -> NoticeResponse {
    let mut fields = vec![
        (b'S', "NOTICE".to_owned()),
        (b'C', "00000".to_owned()),
        (b'M', notice.text.clone().into_owned()),
    ];
    fields.extend(notice.detail.map(|detail| (b'D', detail.to_owned())));
    NoticeResponse::new(fields)
}

impl From<ClientError> for Box<ErrorInfo> {
    fn from(error: ClientError) -> Self {
        Box::new(ErrorInfo::new(
            error.severity.as_str().to_owned(),
            error.sqlstate.into_owned(),
            error.text.into_owned(),
        ))
    }
}

impl From<Failed> for PgWireError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Error(error) => PgWireError::UserError(error.into()),
            Failed::Gone => PgWireError::IoError(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

#[async_trait]
impl SimpleQueryHandler for Session {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        log::debug!("got admin query: {}", query.query);
        let result = match grammar::parse(&query.query) {
            Ok(command) => self.execute(&command).await,
            Err(error) => Err(error.into()),
        };
        self.count();
        match result {
            Ok(reply) => send_reply(client, reply).await?,
            Err(Failed::Error(error)) => {
                self.report(&error);
                let frame = PgWireBackendMessage::ErrorResponse(error_response(&error));
                client.feed(frame).await?;
            }
            Err(Failed::Gone) => return Err(Failed::Gone.into()),
        }
        send_ready_for_query(client, TransactionStatus::Idle).await
    }

    /// Not reached: `on_query` answers by itself.
    async fn do_query<C>(&self, _client: &mut C, _query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(Vec::new())
    }
}

async fn send_reply<C>(client: &mut C, reply: Reply) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let text = Format::UnifiedText;
    if let Some(notice) = &reply.notice {
        let notice = PgWireBackendMessage::NoticeResponse(notice_response(notice));
        client.feed(notice).await?;
    }
    if let Some(Table { columns, rows }) = &reply.table {
        let head = fields(columns, &text).iter().map(Into::into).collect();
        let head = PgWireBackendMessage::RowDescription(RowDescription::new(head));
        client.feed(head).await?;
        for row in rows {
            let row = encode(row, columns, &text);
            client.feed(PgWireBackendMessage::DataRow(row)).await?;
        }
    }
    send_tag(client, reply.tag).await
}

async fn send_tag<C>(client: &mut C, tag: String) -> PgWireResult<()>
where
    C: Sink<PgWireBackendMessage> + Unpin,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let tag = PgWireBackendMessage::CommandComplete(CommandComplete::new(tag));
    Ok(client.feed(tag).await?)
}

/// Reads commands at Parse, so that mistakes are reported there and Describe knows the columns.
#[derive(Debug)]
pub struct Parser;

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        _client: &C,
        sql: &str,
        _types: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        log::debug!("got admin query: {sql}");
        match grammar::parse(sql) {
            Ok(command) => Ok(Some(Arc::new(command))),
            Err(error) => Err(PgWireError::UserError(error.into())),
        }
    }

    fn get_parameter_types(&self, _statement: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(Vec::new())
    }

    fn get_result_schema(
        &self,
        statement: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let columns = show::columns(statement).unwrap_or_default();
        Ok(fields(columns, format.unwrap_or(&Format::UnifiedText)))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Session {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::new(Parser)
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        // pgwire reserves memory for as many rows as the client names.
        let max_rows = message.max_rows.clamp(0, MAX_FETCH) as usize;
        match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => self.execute_portal(client, &portal, max_rows).await,
            Some(Entry::Empty) => {
                let frame = PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new());
                Ok(client.feed(frame).await?)
            }
            None => Err(PgWireError::PortalNotFound(name.to_owned())),
        }
    }

    /// Not reached: `on_execute` answers by itself.
    async fn do_query<C>(
        &self,
        _client: &mut C,
        _portal: &Portal<Prepared>,
        _max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(Response::EmptyQuery)
    }
}

impl Session {
    async fn execute_portal<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        max_rows: usize,
    ) -> PgWireResult<()>
    where
        C: Sink<PgWireBackendMessage> + Unpin + Send,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let is_new = matches!(*portal.state().lock().await, PortalExecutionState::Initial);
        if is_new {
            let result = self.execute(&portal.statement.statement).await;
            self.count();
            let reply = result?;
            if let Some(notice) = &reply.notice {
                let notice = PgWireBackendMessage::NoticeResponse(notice_response(notice));
                client.feed(notice).await?;
            }
            let Some(Table { columns, rows }) = reply.table else {
                return send_tag(client, reply.tag).await;
            };
            let format = &portal.result_column_format;
            let head = Arc::new(fields(columns, format));
            let rows: Vec<_> = rows
                .iter()
                .map(|r| Ok(encode(r, columns, format)))
                .collect();
            let mut response = QueryResponse::new(head, stream::iter(rows));
            response.set_command_tag(&reply.tag);
            portal.start(response).await;
        }
        let fetched = portal.fetch(max_rows).await?;
        let mut response = fetched.response;
        while let Some(row) = response.data_rows().next().await {
            client.feed(PgWireBackendMessage::DataRow(row?)).await?;
        }
        if fetched.suspended {
            let frame = PgWireBackendMessage::PortalSuspended(PortalSuspended::new());
            return Ok(client.feed(frame).await?);
        }
        send_tag(client, response.command_tag().to_owned()).await
    }
}
